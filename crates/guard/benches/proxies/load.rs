//! A load generator for keep-alive HTTP/1.1: each client sends its next request when it has the
//! whole response.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The delays of the requests of one slice, in microseconds, and its length.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) delays: Vec<f64>,
    pub(crate) took: Duration,
}

impl Slice {
    pub(crate) fn per_second(&self) -> f64 {
        self.delays.len() as f64 / self.took.as_secs_f64()
    }
}

/// Sends requests from this many clients for this time. Every response must be 200.
pub(crate) async fn slice(
    address: SocketAddr,
    request: &'static [u8],
    clients: usize,
    time: Duration,
) -> Slice {
    let mut all = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..clients {
        all.spawn(async move {
            let mut client = Client::connect(address).await;
            // The first request opens connections behind the proxy.
            client.send(request).await;
            let mut delays = Vec::new();
            while begun.elapsed() < time {
                let sent = Instant::now();
                client.send(request).await;
                delays.push(sent.elapsed().as_nanos() as f64 / 1_000.0);
            }
            delays
        });
    }
    let delays = all.join_all().await.concat();
    Slice { delays, took: begun.elapsed() }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the proxy listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: Vec::with_capacity(4 << 10) }
    }

    async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the proxy reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("a response");
            let so_far = || String::from_utf8_lossy(&self.buffer).into_owned();
            assert_ne!(read, 0, "the connection ended: {}", so_far());
            if let Some(length) = response_length(&self.buffer)
                && self.buffer.len() >= length
            {
                assert!(self.buffer.starts_with(b"HTTP/1.1 200 "), "{}", so_far());
                return;
            }
        }
    }
}

/// Returns the length of a response with `Content-Length`, once its head is whole.
fn response_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + 4 + length.expect("a response with a length"))
}
