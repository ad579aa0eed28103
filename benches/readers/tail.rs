//! A raw socket that sends the commands of a follower. A thousand of them fit into one thread.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::recorder::Script;

pub(crate) struct Tail {
    stream: TcpStream,
    script: Arc<Script>,
    names: Vec<Vec<u8>>,
    cursors: Vec<Vec<u8>>,
    full_sent: Option<Instant>,
    buffer: Vec<u8>,
}

impl Tail {
    pub(crate) async fn connect(port: u16, script: Arc<Script>, cursors: Vec<Vec<u8>>) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server answers");
        stream.set_nodelay(true).expect("a socket");
        let (names, _) = script.full.read();
        Self { stream, script, names, cursors, full_sent: None, buffer: Vec::new() }
    }

    pub(crate) fn cursors(&self) -> &[Vec<u8>] {
        &self.cursors
    }

    /// Sends one batch and reads all replies. Returns the number of new messages in this stream.
    pub(crate) async fn turn(&mut self, counted: &[u8]) -> usize {
        let is_due = |sent: Instant| sent.elapsed() >= self.script.full_every;
        let in_full = self.full_sent.is_none_or(is_due);
        if in_full {
            self.full_sent = Some(Instant::now());
        }
        let batch = if in_full { &self.script.full } else { &self.script.short };
        let bytes = batch.at(&self.cursors);
        let answers = batch.answers();
        self.stream.write_all(&bytes).await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            let mut at = 0;
            let all: Option<Vec<_>> =
                (0..answers).map(|_| Reply::read(&self.buffer, &mut at)).collect();
            let Some(mut all) = all else { continue };
            assert_eq!(at, self.buffer.len(), "more replies than commands");
            let entries = all.pop().expect("an answer to the read");
            return take(&entries, &self.names, &mut self.cursors, counted);
        }
    }
}

/// Moves the cursors to the last entries. Returns the number of entries in the counted stream.
fn take(entries: &Reply<'_>, names: &[Vec<u8>], cursors: &mut [Vec<u8>], counted: &[u8]) -> usize {
    let mut count = 0;
    let Reply::Array(streams) = entries else { return 0 };
    for stream in streams {
        let Reply::Array(pair) = stream else { panic!("not a stream") };
        let [Reply::Text(name), Reply::Array(entries)] = pair.as_slice() else {
            panic!("not a name and its entries")
        };
        let at = names.iter().position(|known| known == name).expect("a stream that was asked for");
        if let Some(Reply::Array(last)) = entries.last()
            && let Some(Reply::Text(id)) = last.first()
        {
            cursors[at] = id.to_vec();
        }
        if *name == counted {
            count += entries.len();
        }
    }
    count
}

enum Reply<'a> {
    Text(&'a [u8]),
    Array(Vec<Reply<'a>>),
    /// A number, a null, or an error, such as for a missing stream.
    Other,
}

impl<'a> Reply<'a> {
    /// Returns `None` until the reply is complete.
    fn read(bytes: &'a [u8], at: &mut usize) -> Option<Self> {
        let rest = bytes.get(*at..)?;
        let end =
            rest.iter().position(|byte| *byte == b'\r').filter(|end| *end + 1 < rest.len())?;
        *at += end + 2;
        let number = || std::str::from_utf8(&rest[1..end]).ok()?.parse::<usize>().ok();
        match rest[0] {
            b'$' => {
                let Some(len) = number() else { return Some(Self::Other) };
                let text = bytes.get(*at..*at + len)?;
                *at += len + 2;
                (*at <= bytes.len()).then_some(Self::Text(text))
            }
            b'*' => {
                let Some(len) = number() else { return Some(Self::Other) };
                (0..len).map(|_| Self::read(bytes, at)).collect::<Option<_>>().map(Self::Array)
            }
            _ => Some(Self::Other),
        }
    }
}
