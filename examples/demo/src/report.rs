//! Counts the answers while the demo runs, and prints a table at the end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest time that a revoked token may still be admitted.
pub const TOO_LATE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Report {
    published: AtomicU64,
    served: AtomicU64,
    denied: AtomicU64,
    wrongly_denied: AtomicU64,
    wrongly_served: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    longest_late_nanos: AtomicU64,
    delays: Mutex<Vec<Duration>>,
}

impl Report {
    pub fn published(&self) {
        self.published.fetch_add(1, Relaxed);
    }

    /// Counts a token as blocked, `delay` after its revocation began.
    pub fn blocked(&self, delay: Duration) {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
    }

    /// Counts a served request. `late` is how long its token's revocation was already in the stream.
    pub fn served(&self, late: Option<Duration>) {
        let Some(late) = late else {
            self.served.fetch_add(1, Relaxed);
            return;
        };
        self.late.fetch_add(1, Relaxed);
        self.longest_late_nanos.fetch_max(late.as_nanos() as u64, Relaxed);
        let count = if late > TOO_LATE { &self.wrongly_served } else { &self.served };
        count.fetch_add(1, Relaxed);
    }

    pub fn denied(&self, correctly: bool) {
        let count = if correctly { &self.denied } else { &self.wrongly_denied };
        count.fetch_add(1, Relaxed);
    }

    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// Prints the table. Returns `true` if every promise held.
    pub fn print(&self, revocations: usize) -> bool {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner).clone();
        delays.sort_unstable();
        let at = |share: f64| {
            let last = delays.len().saturating_sub(1);
            milliseconds(delays.get((last as f64 * share).round() as usize).copied())
        };
        let longest = Duration::from_nanos(self.longest_late_nanos.load(Relaxed));
        let (wrongly_served, wrongly_denied, failed) = (
            self.wrongly_served.load(Relaxed),
            self.wrongly_denied.load(Relaxed),
            self.failed.load(Relaxed),
        );
        println!();
        row("revocations published", self.published.load(Relaxed));
        row("tokens blocked", delays.len());
        row("requests admitted after the message was written", self.late.load(Relaxed));
        row("  longest time after it", milliseconds(Some(longest)));
        row("delay from revoke to blocked at a client, min", at(0.0));
        row("  p50", at(0.5));
        row("  p99", at(0.99));
        row("  max", at(1.0));
        row("requests served correctly", self.served.load(Relaxed));
        row("requests denied correctly", self.denied.load(Relaxed));
        row("requests served wrongly (over 1 s late)", wrongly_served);
        row("requests denied wrongly", wrongly_denied);
        row("requests failed for another reason", failed);
        let is_good = delays.len() == revocations && wrongly_served + wrongly_denied + failed == 0;
        println!("\n{}", if is_good { "Every promise held." } else { "A promise did NOT hold." });
        is_good
    }
}

/// Prints a line every second, until it is stopped.
pub async fn progress(report: Arc<Report>, revocations: usize) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for second in 0.. {
        ticks.tick().await;
        let blocked = report.delays.lock().unwrap_or_else(PoisonError::into_inner).len();
        println!(
            "{second:>3} s   revoked {:>4} of {revocations}   blocked {blocked:>4}   served {:>7}   denied {:>7}",
            report.published.load(Relaxed),
            report.served.load(Relaxed),
            report.denied.load(Relaxed),
        );
    }
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("{name:<48}{value:>14}");
}

fn milliseconds(duration: Option<Duration>) -> String {
    duration.map_or("-".to_owned(), |duration| format!("{:.3} ms", duration.as_secs_f64() * 1e3))
}
