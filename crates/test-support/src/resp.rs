//! A real redis-server for a bench, and a raw socket to it: the floor under every reader.

#![allow(dead_code, reason = "no bench uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Gone, with its data, at the end.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Server {
    /// Without persistence: what is measured is the way out of Redis, not its disk.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A replica of another, once it has all of it.
    pub(crate) fn replica_of(primary: &Self) -> Self {
        let server = Self::start_with(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        for _ in 0..500 {
            if server.info("replication", "master_link_status").as_deref() == Some("up") {
                return server;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the replica does not reach its primary");
    }

    fn start_with(more: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(folder.path())
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command
            .spawn()
            .expect("redis-server is installed (on Debian: apt-get install redis-server)");
        let server = Self { process, port, _folder: folder };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not come up on port {port}");
    }

    /// A field of what the server says of itself.
    pub(crate) fn info(&self, section: &str, field: &str) -> Option<String> {
        let mut raw = Raw::connect(self.port);
        raw.push(&[b"INFO", section.as_bytes()]);
        raw.send();
        let mut info = String::new();
        raw.skip(&mut |text| info = String::from_utf8_lossy(text).into_owned());
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| *name == field).map(|(_, value)| value.trim().to_owned())
    }

    /// The same as a number.
    pub(crate) fn number(&self, section: &str, field: &str) -> f64 {
        self.info(section, field).and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }

    /// How long its threads have been on a processor.
    pub(crate) fn on_core(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A blocking socket that speaks just enough RESP.
pub(crate) struct Raw {
    reader: BufReader<TcpStream>,
    commands: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server answers");
        stream.set_nodelay(true).expect("a socket");
        Self { reader: BufReader::with_capacity(256 << 10, stream), commands: Vec::new() }
    }

    /// Adds a command to the next write.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        write!(self.commands, "*{}\r\n", parts.len()).expect("memory");
        for part in parts {
            write!(self.commands, "${}\r\n", part.len()).expect("memory");
            self.commands.extend_from_slice(part);
            self.commands.extend_from_slice(b"\r\n");
        }
    }

    pub(crate) fn send(&mut self) {
        self.reader.get_mut().write_all(&self.commands).expect("the server reads");
        self.commands.clear();
    }

    /// Skips one answer of whatever shape, and calls `on_text` with each string in it.
    pub(crate) fn skip(&mut self, on_text: &mut impl FnMut(&[u8])) {
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

    /// Takes text from the buffer where it lies whole, without a copy.
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
