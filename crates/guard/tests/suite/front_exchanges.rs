//! Exchanges of more than one step that every front must handle alike.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchange::{header, status};
use crate::front::Front;

/// Checks `Expect: 100-continue`, a connection with several requests, upgrades to a WebSocket and to
/// h2c, and responses without an end.
pub(crate) async fn check_exchanges(front: &Front<'_>) {
    let valid = front.world.mint("ar-exchange");
    let revoked = front.world.mint("ar-exchange-revoked");
    front.world.revoke("ar-exchange-revoked").await;
    front.until(401, "/orders/1", &revoked).await;
    front.until(200, "/orders/1", &valid).await;
    waits_for_continue(front, &valid, &revoked).await;
    decides_each_request_of_a_connection(front, &valid, &revoked).await;
    opens_websocket(front, &valid, &revoked).await;
    passes_on_no_upgrade_to_h2c(front, &valid).await;
    streams_responses(front, &valid).await;
}

async fn waits_for_continue(front: &Front<'_>, valid: &str, revoked: &str) {
    for (token, expected) in [(valid, 200), (revoked, 401)] {
        front.upstream.take();
        let mut client = Client::connect(front).await;
        client
            .send(&format!(
                "POST /orders/1 HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\
                 Authorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
            ))
            .await;
        let mut head = client.head().await;
        let mut body = Some("hello");
        // A proxy may send 100 twice: its own, and the application's.
        while status(&head) == 100 {
            client.send(body.take().unwrap_or_default()).await;
            head = client.head().await;
        }
        assert_eq!(status(&head), expected, "{head}");
        let received = front.upstream.take();
        let bodies: Vec<_> = received.iter().map(|request| &*request.body).collect();
        assert_eq!(bodies, if expected == 200 { vec![b"hello"] } else { vec![] });
    }
}

async fn decides_each_request_of_a_connection(front: &Front<'_>, valid: &str, revoked: &str) {
    let mut client = Client::connect(front).await;
    for (token, expected) in [(valid, 200), (revoked, 401), (valid, 200)] {
        let request = format!(
            "POST /orders/1 HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\
             Authorization: Bearer {token}\r\n\r\nhello"
        );
        front.upstream.take();
        client.send(&request).await;
        let mut head = client.response().await;
        if head.is_empty() {
            // The proxy may close the connection after a denial.
            client = Client::connect(front).await;
            client.send(&request).await;
            head = client.response().await;
        }
        assert_eq!(status(&head), expected, "{head}");
        assert_eq!(front.upstream.take().len(), usize::from(expected == 200));
    }
}

async fn opens_websocket(front: &Front<'_>, valid: &str, revoked: &str) {
    for (token, expected) in [(valid, 101), (revoked, 401)] {
        let mut client = Client::connect(front).await;
        client
            .send(&format!(
                "GET /ws HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Authorization: Bearer {token}\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert_eq!(status(&head), expected, "{head}");
        if expected == 101 {
            // A text frame, masked with zeros, and its echo.
            client.stream.write_all(b"\x81\x84\0\0\0\0ping").await.unwrap();
            assert_eq!(client.read(6).await, b"\x81\x04ping");
        }
    }
}

/// After an upgrade to h2c, the application would answer more requests on the connection, which no
/// front decides about.
async fn passes_on_no_upgrade_to_h2c(front: &Front<'_>, valid: &str) {
    for upgrade in ["h2c", "H2C", "websocket, h2c", "h2c, websocket"] {
        front.upstream.take();
        let mut client = Client::connect(front).await;
        client
            .send(&format!(
                "GET /orders/1 HTTP/1.1\r\nHost: app.example\r\n\
                 Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
                 HTTP2-Settings: AAMAAABkAAQAAP__\r\nAuthorization: Bearer {valid}\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert_ne!(status(&head), 101, "{upgrade}: {head}");
        for request in front.upstream.take() {
            let passed_on = request.all("upgrade").join(" ").to_ascii_lowercase();
            assert!(!passed_on.contains("h2c"), "{upgrade}: {passed_on}");
        }
    }
}

async fn streams_responses(front: &Front<'_>, valid: &str) {
    for (path, expected) in [("/sse", "data: 1\n\n"), ("/chunked", "chunk\n")] {
        let mut client = Client::connect(front).await;
        let line = format!("GET {path} HTTP/1.1\r\nHost: app.example\r\n");
        client.send(&format!("{line}Authorization: Bearer {valid}\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(status(&head), 200, "{head}");
        // The text follows the size of its chunk.
        let mut text = Vec::new();
        while !text.ends_with(expected.as_bytes()) {
            let byte = client.read(1).await;
            assert_eq!(byte.len(), 1, "{path} ended");
            text.extend(byte);
        }
    }
}

/// A client that reads a response step by step.
struct Client {
    stream: TcpStream,
}

impl Client {
    async fn connect(front: &Front<'_>) -> Self {
        Self { stream: TcpStream::connect(front.address).await.unwrap() }
    }

    async fn send(&mut self, text: &str) {
        // The proxy may have closed the connection: the response shows it.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Reads up to the end of a head. Returns an empty text if the connection ends before.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.read(1).await.as_slice() {
                [byte] => head.push(*byte),
                _ => return String::new(),
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a whole response, and returns its head.
    async fn response(&mut self) -> String {
        let head = self.head().await;
        let length = header(&head, "content-length");
        if let Some(length) = length.and_then(|length| length.parse().ok()) {
            self.read(length).await;
        } else if header(&head, "transfer-encoding").is_some() {
            let mut body = Vec::new();
            while !body.ends_with(b"0\r\n\r\n") {
                body.extend(self.read(1).await);
            }
        }
        head
    }

    /// Reads this many bytes, or fewer if the connection ends.
    async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read =
            tokio::time::timeout(Duration::from_secs(60), self.stream.read_exact(&mut bytes));
        if read.await.expect("an answer within a minute").is_err() {
            bytes.clear();
        }
        bytes
    }
}
