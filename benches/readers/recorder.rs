//! A proxy that records the commands of a follower.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The pause between two full batches of a follower, while messages come one by one.
const FULL_EVERY: Duration = Duration::from_millis(250);

/// The bytes that each connection sent through the proxy, in the order of connecting.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<Vec<u8>>>>);

/// Starts a proxy before the server. Returns its port and the record.
pub(crate) fn listen(server: u16) -> (u16, Recording) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let recording = Recording::default();
    let all = recording.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", server)).expect("the server answers");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a socket");
            }
            let at = {
                let mut recording = all.0.lock().expect("no panic");
                recording.push(Vec::new());
                recording.len() - 1
            };
            let [from_server, to_client] =
                [&server, &client].map(|s| s.try_clone().expect("a socket"));
            thread::spawn(move || forward(from_server, to_client, |_| {}));
            let all = all.clone();
            thread::spawn(move || {
                forward(client, server, |bytes| {
                    all.0.lock().expect("no panic")[at].extend_from_slice(bytes);
                });
            });
        }
    });
    (port, recording)
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut record: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        record(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

type Command = Vec<Vec<u8>>;

/// Commands that are sent in one write and end with a read of the streams.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Vec<Command>);

impl Batch {
    /// Returns the bytes of the batch, with other cursors in the read.
    pub(crate) fn at(&self, cursors: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for command in &self.0 {
            let is_read = command[0] == b"XREAD";
            let keep = command.len() - if is_read { cursors.len() } else { 0 };
            let rest = if is_read { cursors } else { &[] };
            write!(bytes, "*{}\r\n", command.len()).expect("memory");
            for part in command[..keep].iter().chain(rest) {
                write!(bytes, "${}\r\n", part.len()).expect("memory");
                bytes.extend_from_slice(part);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    }

    pub(crate) fn answers(&self) -> usize {
        self.0.len()
    }

    /// Returns the names of the streams, and the cursors that were sent.
    pub(crate) fn read(&self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let read = self.0.last().expect("a batch ends with a read");
        let streams = read.iter().position(|part| part == b"STREAMS").expect("XREAD STREAMS") + 1;
        let (names, cursors) = read[streams..].split_at((read.len() - streams) / 2);
        (names.to_vec(), cursors.to_vec())
    }

    /// Returns the server's time and the read alone.
    fn without_proof(&self) -> Self {
        let is_kept = |command: &&Command| [&b"TIME"[..], b"XREAD"].contains(&&*command[0]);
        Self(self.0.iter().filter(is_kept).cloned().collect())
    }

    /// Returns the read alone, of this stream alone.
    fn of_stream(&self, name: &[u8]) -> Self {
        let mut read = self.0.last().expect("a batch ends with a read").clone();
        let (names, cursors) = self.read();
        let at = names.iter().position(|known| known == name).expect("a stream that is read");
        read.truncate(read.len() - 2 * names.len());
        read.extend([names[at].clone(), cursors[at].clone()]);
        Self(vec![read])
    }

    fn has(&self, word: &[u8]) -> bool {
        self.0.iter().flatten().any(|part| part == word)
    }
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|command| String::from_utf8_lossy(&command[0]));
        f.write_str(&names.collect::<Vec<_>>().join(" "))
    }
}

/// The commands that a follower sends while it waits.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The last batch that also asks for a completeness proof.
    pub(crate) full: Batch,
    /// The last batch without the proof, or `full` if there was none. A follower sends it soon
    /// after a full one.
    pub(crate) short: Batch,
    /// The pause between two full batches, while messages come one by one.
    pub(crate) full_every: Duration,
}

impl Script {
    /// Returns the script of an earlier follower: a proof every 20 ms, and the server's time with
    /// each read.
    pub(crate) fn before(&self) -> Self {
        let (full, full_every) = (self.full.clone(), Duration::from_millis(20));
        Self { short: full.without_proof(), full, full_every }
    }

    /// Returns a script that never asks for a proof.
    pub(crate) fn reads_alone(&self) -> Self {
        let short = &self.short;
        Self { full: short.clone(), short: short.clone(), full_every: Duration::MAX }
    }

    /// Returns a script that reads this stream alone, without a proof: the least that a reader can
    /// ask for.
    pub(crate) fn reads_of(&self, stream: &[u8]) -> Self {
        let read = self.short.of_stream(stream);
        Self { full: read.clone(), short: read, full_every: Duration::MAX }
    }
}

impl Recording {
    /// Returns the commands of the connection that reads the streams.
    pub(crate) fn script(&self) -> Script {
        let recording = self.0.lock().expect("no panic");
        let reader = recording.iter().map(|bytes| batches(bytes)).max_by_key(Vec::len);
        let waiting: Vec<_> =
            reader.into_iter().flatten().filter(|batch| batch.has(b"BLOCK")).collect();
        let full = waiting.iter().rfind(|batch| batch.has(b"INFO")).expect("a full batch").clone();
        let short = waiting.iter().rfind(|batch| !batch.has(b"INFO")).unwrap_or(&full).clone();
        Script { full, short, full_every: FULL_EVERY }
    }
}

fn batches(bytes: &[u8]) -> Vec<Batch> {
    let (mut all, mut batch, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(command) = command(bytes, &mut at) {
        let is_last = command[0] == b"XREAD";
        batch.push(command);
        if is_last {
            all.push(Batch(std::mem::take(&mut batch)));
        }
    }
    all
}

fn command(bytes: &[u8], at: &mut usize) -> Option<Command> {
    let parts = number(bytes, at, b'*')?;
    (0..parts)
        .map(|_| {
            let len = number(bytes, at, b'$')?;
            let text = bytes.get(*at..*at + len)?.to_vec();
            *at += len + 2;
            Some(text)
        })
        .collect()
}

fn number(bytes: &[u8], at: &mut usize, kind: u8) -> Option<usize> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(rest[0], kind, "a follower sends arrays of strings");
    *at += end + 2;
    std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()
}
