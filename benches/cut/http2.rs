//! A client that speaks HTTP/2 in plain bytes (RFC 9113). It takes little of the cores that it shares
//! with the server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Http2 {
    socket: BufReader<TcpStream>,
    /// The id of the next stream.
    next: u32,
}

pub(crate) const DATA: u8 = 0;
const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = BufReader::new(TcpStream::connect(address).await.unwrap());
        let mut http2 = Self { socket, next: 1 };
        http2.socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        http2.send(SETTINGS, 0, 0, &[]).await;
        http2
    }

    /// Sends a request on a stream of its own.
    pub(crate) async fn get(&mut self, path: &str, n: usize) {
        // RFC 7541: GET and http are indexed, the rest are literals.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(&[4][..], path), (&[1], "localhost"), (b"\0\x03x-n", &n.to_string())]
        {
            block.extend_from_slice(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        }
        self.send(HEADERS, END_STREAM | END_HEADERS, self.next, &block).await;
        self.next += 2;
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.socket.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// Reads until this many frames of this kind have arrived.
    pub(crate) async fn expect(&mut self, expected: u8, count: usize) {
        let mut seen = 0;
        while seen < count {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.socket.read_exact(&mut payload).await.unwrap();
            match kind {
                // Each setting of the server has to be acknowledged.
                SETTINGS if flags == 0 => self.send(SETTINGS, 1, 0, &[]).await,
                DATA | HEADERS | RST_STREAM if flags & END_STREAM == 0 || kind == RST_STREAM => {}
                SETTINGS | WINDOW_UPDATE => {}
                _ => panic!("frame {kind} with the flags {flags}"),
            }
            seen += usize::from(kind == expected);
        }
    }
}
