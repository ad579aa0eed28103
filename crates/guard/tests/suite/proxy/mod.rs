//! The reverse proxy, with real clients and a real service behind.

mod cutting;
mod differential;
mod failures;
mod forwarding;
mod grpc;
mod http2;
mod page;
mod raw_service;
mod service;
mod smuggling;
mod tls;
mod websocket;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::Guard;
use crate::world::{World, free_address};

/// A deadline for anything that must happen. It is reached only by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A guard that serves as a reverse proxy.
pub(crate) struct Proxied {
    pub(crate) world: World,
    pub(crate) guard: Guard,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
}

impl Proxied {
    /// Starts a guard in front of this service, with more lines in its configuration file.
    pub(crate) async fn start(upstream: &str, more: &str) -> Self {
        let folder = TempDir::with_prefix("proxy-").unwrap();
        let address = free_address();
        let file = folder.path().join("guard.toml");
        std::fs::write(&file, more).unwrap();
        let world = World::start().await;
        let config = file.to_str().unwrap();
        let arguments =
            ["--config", config, "--listen", &address.to_string(), "--upstream", upstream];
        let guard = world.guard(&arguments).await;
        Self { world, guard, address, folder }
    }

    /// Returns the header line with a mandate of this authority record.
    pub(crate) fn token(&self, sid: &str) -> String {
        format!("Authorization: Bearer {}", self.world.mint(sid))
    }

    /// Opens a connection and sends the head of a request on this authority record.
    pub(crate) async fn open(&self, sid: &str, method: &str, path: &str, more: &[&str]) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut client = Client { stream, read: Vec::new() };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: api.example\r\n");
        let token = self.token(sid);
        for line in [&*token].iter().chain(more) {
            let _ = write!(head, "{line}\r\n");
        }
        client.send(format!("{head}\r\n").as_bytes()).await;
        client
    }

    /// Sends a whole request on this authority record, and returns the whole response.
    pub(crate) async fn request(
        &self,
        sid: &str,
        method: &str,
        path: &str,
        more: &[&str],
        body: &[u8],
    ) -> String {
        let more: Vec<_> = ["Connection: close"].iter().chain(more).copied().collect();
        let mut client = self.open(sid, method, path, &more).await;
        client.send(body).await;
        client.read_all().await
    }
}

/// A connection of HTTP/1.1 by hand.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The proxy may have closed the connection: the response tells.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads until the response so far contains this text.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        let reading = async {
            while !self.text().contains(text) {
                let read = self.stream.read_buf(&mut self.read).await.unwrap();
                assert!(read > 0, "closed before {text:?}: {}", self.text());
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| {
            panic!("no {text:?} in time");
        });
        self.text()
    }

    /// Reads until the proxy closes the connection, and returns everything that was read.
    pub(crate) async fn read_all(&mut self) -> String {
        let reading = async {
            // A reset is an end too.
            while let Ok(1..) = self.stream.read_buf(&mut self.read).await {}
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("the connection stays open");
        self.text()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Waits until this is true.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
