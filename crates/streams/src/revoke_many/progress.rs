//! The progress of publishing: a bar in a terminal, else a line from time to time.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::text::span;

/// The width of the bar in characters.
const WIDTH: usize = 30;
/// The time between two lines without a terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Reports the progress on standard error.
pub(super) struct Progress {
    total: usize,
    is_terminal: bool,
    /// The time of the last line without a terminal.
    last: Duration,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { total, is_terminal, last: Duration::ZERO }
    }

    /// Reports that this many messages are published, this time after the first write.
    pub(super) fn advance(&mut self, published: usize, elapsed: Duration) {
        let text = if self.is_terminal {
            // Returns to the start of the line, and removes its rest.
            format!("\r{}\u{1b}[K", bar(published, self.total, elapsed))
        } else if elapsed >= self.last + EVERY {
            self.last = elapsed;
            format!("published {published} of {} messages\n", self.total)
        } else {
            return;
        };
        write(&text);
    }

    /// Removes the bar, so that other lines can follow.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            write("\r\u{1b}[K");
        }
    }
}

/// Writes to standard error, and ignores a missing reader.
fn write(text: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Returns the bar with the numbers, the speed and the time that is left.
fn bar(published: usize, total: usize, elapsed: Duration) -> String {
    let full = (published * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH - full));
    let seconds = elapsed.as_secs_f64();
    let rest = if published == 0 || seconds <= 0.0 {
        String::new()
    } else {
        let speed = published as f64 / seconds;
        let left = Duration::from_secs_f64(total.saturating_sub(published) as f64 / speed);
        format!(", {speed:.0} a second, {} left", span(left))
    };
    format!("[{bar}] {published} of {total}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_bar_with_speed_and_time_left() {
        let half = bar(5_000, 10_000, Duration::from_secs(1));
        let expected = "[###############...............] 5000 of 10000, 5000 a second, 1.0 s left";
        assert_eq!(half, expected);
        let start = bar(0, 10, Duration::ZERO);
        assert_eq!(start, "[..............................] 0 of 10");
        assert!(bar(10, 10, Duration::from_secs(2)).starts_with(&format!("[{}]", "#".repeat(30))));
        assert!(bar(0, 0, Duration::ZERO).contains("0 of 0"));
    }
}
