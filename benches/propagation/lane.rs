//! One reader with a Redis server of its own, and the times at which it saw each message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::internal::sign;
use caracal_revocation::wire::{Key, Stream};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;
use rustix::thread::{CpuSet, sched_setaffinity};

pub(crate) const ZONE: &str = "0198c0de-0000-7000-8000-00000000000a";

/// The processor of all readers.
const READERS: usize = 0;
/// The processor of the publisher and of all servers, where there is more than one.
const SERVERS: usize = 1;

/// Keeps the calling thread on this processor, and the threads and processes that it starts later.
fn pin_to(processor: usize) {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(processor % processors);
    sched_setaffinity(None, &set).expect("Linux");
}

/// Keeps the servers and the publisher apart from the readers. Otherwise the scheduler moves some
/// readers, and not others, to the processor of their server, where waking them takes microseconds
/// instead of tens of them.
pub(crate) fn separate() {
    pin_to(SERVERS);
}

/// The times at which messages were seen, by number, in nanoseconds since the start. Zero for those
/// that were not seen yet.
#[derive(Debug)]
pub(crate) struct Seen {
    start: Instant,
    at: Vec<AtomicU64>,
}

impl Seen {
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records that this message was seen at this time.
    pub(crate) fn record(&self, number: usize, at: u64) {
        self.at[number].store(at, Ordering::Release);
    }

    /// Returns the number of messages that can be seen.
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    fn get(&self, number: usize) -> u64 {
        self.at[number].load(Ordering::Acquire)
    }
}

/// A reader that runs in its own thread until the process ends.
pub(crate) struct Lane {
    server: Arc<RedisServer>,
    seen: Arc<Seen>,
}

impl Lane {
    pub(crate) fn start(key: &Key, messages: usize, read: fn(&RedisServer, &Key, &Seen)) -> Self {
        let server = Arc::new(RedisServer::in_memory());
        let at = (0..messages).map(|_| AtomicU64::new(0)).collect();
        let seen = Arc::new(Seen { start: Instant::now(), at });
        let (servers, key, seeing) = (Arc::clone(&server), key.clone(), Arc::clone(&seen));
        thread::spawn(move || {
            pin_to(READERS);
            read(&servers, &key, &seeing);
        });
        Self { server, seen }
    }

    /// Signs all messages in advance: each is another one, because a repeated invalidation changes
    /// nothing.
    pub(crate) fn publisher(&self, key: &Key) -> Publisher {
        let messages = (0..self.seen.len()).map(|number| message(key, number)).collect();
        let socket = RespSocket::connect(self.server.port());
        Publisher { socket, seen: Arc::clone(&self.seen), messages, next: 0 }
    }
}

/// The message as its fields and values, in order.
type Message = Vec<(String, String)>;

/// Publishes the messages of one lane.
pub(crate) struct Publisher {
    socket: RespSocket,
    seen: Arc<Seen>,
    messages: Vec<Message>,
    next: usize,
}

impl Publisher {
    /// Publishes at an even pace for this time, waits until all was seen, and returns the delays in
    /// microseconds.
    pub(crate) fn slice(&mut self, rate: u64, time: Duration) -> Vec<f64> {
        let count = usize::try_from(u128::from(rate) * time.as_millis() / 1_000).expect("a count");
        let between = time / u32::try_from(count).expect("a count");
        let (first, begun) = (self.next, Instant::now());
        let mut sent = Vec::with_capacity(count);
        for number in 0..count {
            let due = between * u32::try_from(number).expect("a count");
            thread::sleep(due.saturating_sub(begun.elapsed()));
            let mut parts: Vec<&[u8]> =
                vec![b"XADD", Stream::PolicyInvalidate.name().as_bytes(), b"*"];
            for (name, value) in &self.messages[self.next] {
                parts.extend([name.as_bytes(), value.as_bytes()]);
            }
            self.socket.push(&parts);
            sent.push(self.seen.now());
            self.socket.send();
            self.socket.skip(&mut |_| {});
            self.next += 1;
        }
        let last = self.next - 1;
        let waiting = Instant::now();
        while self.seen.get(last) == 0 {
            assert!(waiting.elapsed() < Duration::from_secs(10), "message {last} was never seen");
            thread::sleep(Duration::from_millis(1));
        }
        let delay = |(number, sent): (usize, u64)| (self.seen.get(first + number) - sent) as f64;
        sent.into_iter().enumerate().map(delay).map(|nanos| nanos / 1_000.0).collect()
    }
}

fn message(key: &Key, number: usize) -> Message {
    let outbox_id = format!("0198c0de-0001-7000-8000-{number:012x}");
    let mut fields: Message = [("zone_id", ZONE.to_owned()), ("outbox_id", outbox_id)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    sign(key, Stream::PolicyInvalidate, &mut fields);
    fields
}
