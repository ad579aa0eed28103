//! HTTP/1.1 by hand, so that a test controls every byte of a request.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends these bytes on a new connection, and returns everything until the server closes it.
/// Returns `None` if there is no connection, or no end within 60 seconds.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Option<String> {
    let all = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request).await.ok()?;
        let mut response = Vec::new();
        // A reset after the response is no matter.
        let _ = stream.read_to_end(&mut response).await;
        Some(String::from_utf8_lossy(&response).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.ok().flatten()
}

/// Sends a request with these header lines, and returns the response.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Option<String> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}\r\n");
    exchange(address, request.as_bytes()).await
}

/// Sends a `GET` without headers.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<String> {
    send(address, "GET", path, &[]).await
}

/// Returns the status of a response.
pub(crate) fn status(response: &str) -> u16 {
    let status = response.split(' ').nth(1).unwrap_or_default();
    status.parse().unwrap_or_else(|_| panic!("no status in {response:?}"))
}

/// Returns the value of a header, or `None`.
pub(crate) fn header<'r>(response: &'r str, name: &str) -> Option<&'r str> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Returns the body of a response as it was sent.
pub(crate) fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
