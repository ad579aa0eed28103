//! A thread that sleeps for short periods, and records how much later than planned it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::history::Late;
use crate::time::Clock;

const PERIOD: Duration = Duration::from_millis(10);
/// The delay up to which the timer itself is the cause.
const NOISE: Duration = Duration::from_millis(2);

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

    pub fn stop(self) -> Vec<Late> {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.beats.lock().expect("no thread panics here"))
    }
}
