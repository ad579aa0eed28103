//! A blocking socket to Redis without a client library: the fastest possible reader, as a floor.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::redis_server::RedisServer;

impl RedisServer {
    /// Starts a replica of another server, and waits until it has all of the primary's data.
    pub fn replica_of(primary: &Self) -> Self {
        let port = primary.port().to_string();
        let server = Self::start_with(&["--appendonly", "no", "--replicaof", "127.0.0.1", &port]);
        for _ in 0..500 {
            if server.info("replication", "master_link_status").as_deref() == Some("up") {
                return server;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the replica does not reach its primary");
    }

    /// Returns a field of `INFO`.
    pub fn info(&self, section: &str, field: &str) -> Option<String> {
        let mut socket = RespSocket::connect(self.port());
        socket.push(&[b"INFO", section.as_bytes()]);
        socket.send();
        let mut info = String::new();
        socket.skip(&mut |text| info = String::from_utf8_lossy(text).into_owned());
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| *name == field).map(|(_, value)| value.trim().to_owned())
    }

    /// Returns a field of `INFO` as a number.
    pub fn number(&self, section: &str, field: &str) -> f64 {
        self.info(section, field).and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }
}

/// A blocking socket with a minimal RESP reader and writer.
pub struct RespSocket {
    reader: BufReader<TcpStream>,
    commands: Vec<u8>,
}

impl RespSocket {
    /// Connects to a server on this machine.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server answers");
        stream.set_nodelay(true).expect("a socket");
        Self { reader: BufReader::with_capacity(256 << 10, stream), commands: Vec::new() }
    }

    /// Adds a command to the next write.
    pub fn push(&mut self, parts: &[&[u8]]) {
        write!(self.commands, "*{}\r\n", parts.len()).expect("memory");
        for part in parts {
            write!(self.commands, "${}\r\n", part.len()).expect("memory");
            self.commands.extend_from_slice(part);
            self.commands.extend_from_slice(b"\r\n");
        }
    }

    /// Writes the commands that were added.
    pub fn send(&mut self) {
        self.reader.get_mut().write_all(&self.commands).expect("the server reads");
        self.commands.clear();
    }

    /// Reads one reply of any shape, and calls `on_text` with each string in it.
    pub fn skip(&mut self, on_text: &mut impl FnMut(&[u8])) {
        let mut line = Vec::new();
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            line.clear();
            self.reader.read_until(b'\n', &mut line).expect("the server answers");
            let number = |line: &[u8]| -> i64 {
                std::str::from_utf8(&line[1..line.len() - 2])
                    .expect("text")
                    .parse()
                    .expect("a length")
            };
            match line[0] {
                b'*' => left += u64::try_from(number(&line)).unwrap_or(0),
                b'$' => {
                    if let Ok(len) = usize::try_from(number(&line)) {
                        self.text(len + 2, on_text);
                    }
                }
                b'-' => panic!("{}", String::from_utf8_lossy(&line)),
                _ => {}
            }
        }
    }

    /// Reads a string, without a copy if the buffer holds all of it.
    fn text(&mut self, len: usize, on_text: &mut impl FnMut(&[u8])) {
        let buffered = self.reader.buffer();
        if let Some(text) = buffered.get(..len) {
            on_text(&text[..len - 2]);
            self.reader.consume(len);
            return;
        }
        let mut text = vec![0; len];
        self.reader.read_exact(&mut text).expect("the server answers");
        on_text(&text[..len - 2]);
    }
}
