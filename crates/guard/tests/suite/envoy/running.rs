//! A request that runs while a test goes on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request on a connection of its own.
pub(super) struct Running {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Running {
    /// Sends a request, and waits until this text has arrived.
    pub(super) async fn start(address: SocketAddr, request: &str, text: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut running = Self { stream, read: Vec::new() };
        running.until(text).await;
        running
    }

    /// Forgets what has arrived, and waits until this text arrives.
    pub(super) async fn next(&mut self, text: &str) {
        self.read.clear();
        self.until(text).await;
    }

    pub(super) async fn until(&mut self, text: &str) {
        let arrives = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                let count = self.stream.read_buf(&mut self.read).await.unwrap();
                assert_ne!(count, 0, "ended: {}", String::from_utf8_lossy(&self.read));
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(30), arrives).await;
        assert!(result.is_ok(), "no {text:?} in {}", String::from_utf8_lossy(&self.read));
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits for the end of the connection, and returns everything that arrived.
    pub(super) async fn end(mut self) -> String {
        let all = self.stream.read_to_end(&mut self.read);
        let result = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(result.is_ok(), "not cut: {} bytes", self.read.len());
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Returns a request with this token and these further lines.
pub(super) fn request(line: &str, token: &str, lines: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {token}\r\n{lines}\r\n")
}

/// Returns a `GET` with this token.
pub(super) fn get(path: &str, token: &str) -> String {
    request(&format!("GET {path}"), token, "")
}

/// The end of a complete response in chunks.
pub(super) const LAST_CHUNK: &str = "0\r\n\r\n";
