//! A thread and a task that sleep for short periods, and record how much later than planned they
//! run.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::history::Late;
use crate::time::Clock;

const PERIOD: Duration = Duration::from_millis(10);
/// The delay up to which the timer itself is the cause.
const NOISE: Duration = Duration::from_millis(2);

/// The delay from which the task counts. The thread records what the machine delays.
const STALL: Duration = Duration::from_millis(200);

pub struct Heartbeat {
    stop: Arc<AtomicBool>,
    beats: Arc<Mutex<Vec<Late>>>,
}

impl Heartbeat {
    pub fn start(clock: Clock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let beats: Arc<Mutex<Vec<Late>>> = Arc::default();
        let (stopped, record) = (stop.clone(), Arc::clone(&beats));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(PERIOD);
                let by = began.elapsed().saturating_sub(PERIOD);
                if by > NOISE {
                    let at = clock.now();
                    record.lock().expect("no thread panics here").push(Late { at, by });
                }
            }
        });
        Self { stop, beats }
    }

    /// Records the periods in which the task of the clients and publishers does not run, until
    /// dropped.
    pub async fn watch_task(&self, clock: Clock) -> Infallible {
        loop {
            let began = Instant::now();
            tokio::time::sleep(PERIOD).await;
            let by = began.elapsed().saturating_sub(PERIOD);
            if by > STALL {
                let at = clock.now();
                self.beats.lock().expect("no thread panics here").push(Late { at, by });
            }
        }
    }

    pub fn stop(self) -> Vec<Late> {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.beats.lock().expect("no thread panics here"))
    }
}
