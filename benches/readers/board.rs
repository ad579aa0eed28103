//! When each message was sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use caracal_test_support::resp::RespSocket;

use crate::{COUNTED, ZONE};

/// The time at which each message of the counted stream was sent, since the start.
pub(crate) struct Board {
    start: Instant,
    sent: Vec<AtomicU64>,
    pub(crate) published: AtomicU64,
}

impl Board {
    pub(crate) fn new() -> Self {
        let sent = (0..100_000).map(|_| AtomicU64::new(0)).collect();
        Self { start: Instant::now(), sent, published: AtomicU64::new(0) }
    }

    /// Returns microseconds since message `number` was sent.
    pub(crate) fn since(&self, number: u64) -> f64 {
        let sent = self.sent[number as usize].load(Ordering::Acquire);
        (self.start.elapsed().as_nanos() as u64).saturating_sub(sent) as f64 / 1e3
    }

    /// Publishes `count` messages at once.
    pub(crate) fn publish(&self, raw: &mut RespSocket, count: u64) {
        let first = self.published.load(Ordering::Acquire);
        for number in first..first + count {
            // Like a message of Caracal's API: about 250 bytes with the signature.
            let id = format!("0198c0de-0001-7000-8000-{number:012x}");
            raw.push(&[
                b"XADD",
                COUNTED.name().as_bytes(),
                b"*",
                b"zone_id",
                ZONE.as_bytes(),
                b"outbox_id",
                id.as_bytes(),
                b"_sig",
                &[b'a'; 64],
            ]);
            let now = self.start.elapsed().as_nanos() as u64;
            self.sent[number as usize].store(now, Ordering::Release);
        }
        self.published.store(first + count, Ordering::Release);
        raw.send();
        (0..count).for_each(|_| raw.skip(&mut |_| {}));
    }
}
