//! Readers that run while something is measured: raw sockets, or real followers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use caracal_revocation::{Follower, Revocations, Settings};
use caracal_test_support::redis_server::RedisServer;

use crate::board::Board;
use crate::recorder::Script;
use crate::tail::Tail;
use crate::{COUNTED, ZONE, runtime};

/// Shared between readers and the measurement.
#[derive(Default)]
pub(crate) struct Readers {
    times: Mutex<Vec<f64>>,
    /// Messages received by all readers.
    pub(crate) received: AtomicU64,
    over: AtomicBool,
}

impl Readers {
    /// Runs raw sockets with these commands while `measure` runs. They begin and end at `position`.
    pub(crate) fn tails<T>(
        server: &RedisServer,
        script: &Arc<Script>,
        board: &Arc<Board>,
        readers: usize,
        position: &mut (Vec<Vec<u8>>, u64),
        measure: impl FnOnce(&Self) -> T,
    ) -> T {
        let (runtime, shared) = (runtime(), Arc::new(Self::default()));
        let mut tasks = Vec::new();
        for _ in 0..readers {
            let connect = Tail::connect(server.port(), Arc::clone(script), position.0.clone());
            let mut tail = runtime.block_on(connect);
            let (board, shared, first) = (Arc::clone(board), Arc::clone(&shared), position.1);
            tasks.push(runtime.spawn(async move {
                let mut seen = first;
                while !shared.over.load(Ordering::Acquire) {
                    let count = tail.turn(COUNTED.name().as_bytes()).await as u64;
                    shared.record(&board, seen, count);
                    seen += count;
                }
                (tail.cursors().to_vec(), seen)
            }));
        }
        let measured = measure(&shared);
        shared.over.store(true, Ordering::Release);
        for task in tasks {
            *position = runtime.block_on(task).expect("a tail ends");
        }
        measured
    }

    /// Runs real followers while `measure` runs.
    pub(crate) fn followers<T>(
        settings: impl Fn() -> Settings,
        board: &Arc<Board>,
        readers: usize,
        measure: impl FnOnce(&Self) -> T,
    ) -> T {
        let (runtime, shared) = (runtime(), Arc::new(Self::default()));
        for _ in 0..readers {
            let follower = Follower::new(settings());
            let revocations = follower.revocations();
            runtime.spawn(follower.run(std::future::pending()));
            runtime.block_on(revocations.ready());
            runtime.spawn(observe(revocations, Arc::clone(board), Arc::clone(&shared)));
        }
        let measured = measure(&shared);
        runtime.shutdown_background();
        measured
    }

    /// Records that a reader has read `count` messages, of which the first has the number `first`.
    fn record(&self, board: &Board, first: u64, count: u64) {
        if count > 0 {
            let mut times = self.times.lock().expect("no panic");
            times.extend((first..first + count).map(|number| board.since(number)));
            drop(times);
            self.received.fetch_add(count, Ordering::AcqRel);
        }
    }

    pub(crate) fn start_over(&self) -> Vec<f64> {
        self.received.store(0, Ordering::Release);
        std::mem::take(&mut self.times.lock().expect("no panic"))
    }

    pub(crate) fn wait_for(&self, messages: u64) {
        let start = Instant::now();
        while self.received.load(Ordering::Acquire) < messages {
            assert!(start.elapsed() < Duration::from_secs(60), "readers do not get everything");
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Observes the messages that a follower applies: a policy invalidation wakes its waiters.
async fn observe(revocations: Revocations, board: Arc<Board>, shared: Arc<Readers>) {
    let mut changes = revocations.policy_changes();
    let mut seen = revocations.policy(ZONE).generation;
    loop {
        let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
        let applied = revocations.policy(ZONE).generation;
        shared.record(&board, seen, applied - seen);
        seen = applied;
    }
}
