//! The three readers: a blocking socket, a socket of tokio, and the follower.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use caracal_revocation::Follower;
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::{Key, KeyRing, Stream};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::lane::{Seen, ZONE};

/// Reads with a blocking socket: one `XREAD BLOCK` after the other.
pub(crate) fn blocking(server: &RedisServer, _: &Key, seen: &Seen) {
    let mut socket = RespSocket::connect(server.port());
    let (mut next, mut cursor) = (0, b"0-0".to_vec());
    while next < seen.len() {
        let name = Stream::PolicyInvalidate.name().as_bytes();
        socket.push(&[b"XREAD", b"COUNT", b"1000", b"BLOCK", b"1000", b"STREAMS", name, &cursor]);
        socket.send();
        let mut entries = 0;
        socket.skip(&mut |text| {
            if is_id(text) {
                entries += 1;
                cursor.clear();
                cursor.extend_from_slice(text);
            }
        });
        let now = seen.now();
        (next..next + entries).for_each(|number| seen.record(number, now));
        next += entries;
    }
}

/// Reads the same with a socket of tokio, in a runtime with one thread.
pub(crate) fn in_tokio(server: &RedisServer, _: &Key, seen: &Seen) {
    runtime().block_on(async {
        let mut socket =
            tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await.expect("a server");
        socket.set_nodelay(true).expect("a socket");
        let (mut next, mut cursor) = (0, "0-0".to_owned());
        let mut answer = Vec::with_capacity(256 << 10);
        while next < seen.len() {
            let name = Stream::PolicyInvalidate.name();
            let command = format!(
                "*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n$5\r\nBLOCK\r\n$4\r\n1000\r\n\
                 $7\r\nSTREAMS\r\n${}\r\n{name}\r\n${}\r\n{cursor}\r\n",
                name.len(),
                cursor.len(),
            );
            socket.write_all(command.as_bytes()).await.expect("the server reads");
            answer.clear();
            let mut entries = 0;
            loop {
                assert_ne!(socket.read_buf(&mut answer).await.expect("an answer"), 0);
                let mut found = (0, None);
                let is_whole = texts(&answer, &mut |text| {
                    if is_id(text) {
                        found = (found.0 + 1, Some(text.to_vec()));
                    }
                });
                if is_whole {
                    entries += found.0;
                    if let (_, Some(id)) = found {
                        cursor = String::from_utf8(id).expect("an id");
                    }
                    break;
                }
            }
            let now = seen.now();
            (next..next + entries).for_each(|number| seen.record(number, now));
            next += entries;
        }
    });
}

/// Calls `on_text` with each string of a reply. Returns `false` if the reply is not whole yet.
fn texts(mut answer: &[u8], on_text: &mut impl FnMut(&[u8])) -> bool {
    let mut left = 1_usize;
    while left > 0 {
        left -= 1;
        let Some(end) = answer.windows(2).position(|two| two == b"\r\n") else { return false };
        let (line, rest) = (&answer[..end], &answer[end + 2..]);
        answer = rest;
        let number = || str::from_utf8(&line[1..]).expect("text").parse::<i64>().expect("a length");
        match line[0] {
            b'*' => left += usize::try_from(number()).unwrap_or(0),
            b'$' => {
                if let Ok(length) = usize::try_from(number()) {
                    let Some(text) = answer.get(..length + 2) else { return false };
                    on_text(&text[..length]);
                    answer = &answer[length + 2..];
                }
            }
            other => panic!("an unexpected reply: {other}"),
        }
    }
    true
}

/// Returns `true` for the id of an entry. No value of these messages looks like one.
fn is_id(text: &[u8]) -> bool {
    text.len() < 20
        && text.contains(&b'-')
        && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}

/// Follows. A message counts as seen when the change that it makes wakes a waiter.
pub(crate) fn follower(server: &RedisServer, key: &Key, seen: &Seen) {
    runtime().block_on(async {
        let writer = RevocationsWriter::new(Options::default());
        let revocations = writer.reader();
        let mut changes = revocations.policy_changes();
        let follower =
            Follower::new(server.settings(&KeyRing::new(key.clone()))).with_writer(writer);
        tokio::spawn(follower.run(std::future::pending()));
        let mut next = 0;
        while next < seen.len() {
            let woken_at = Arc::new(AtomicU64::new(0));
            let mut change = pin!(changes.changed());
            let start = Instant::now();
            let origin = seen.now();
            poll_fn(|context| {
                let then = context.waker().clone();
                let waker = Recording { start, at: Arc::clone(&woken_at), then };
                change.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(waker))))
            })
            .await;
            let now = seen.now();
            let known = usize::try_from(revocations.policy(ZONE).generation).expect("a count");
            let at = match woken_at.load(Ordering::Acquire) {
                // The task was not waiting yet, or more than one message was applied since.
                0 => now,
                _ if known - next > 1 => now,
                at => origin + at,
            };
            (next..known).for_each(|number| seen.record(number, at));
            next = known;
        }
    });
}

/// A waker that records the time of the wake-up and then wakes the waiting task.
struct Recording {
    start: Instant,
    /// Nanoseconds since `start`.
    at: Arc<AtomicU64>,
    then: Waker,
}

impl Wake for Recording {
    fn wake(self: Arc<Self>) {
        let at = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.at.store(at, Ordering::Release);
        self.then.wake_by_ref();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
