//! The progress of publishing: a bar in a terminal, else a line from time to time.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use ratatui::crossterm::terminal::size;

use crate::text::span;

/// The largest and the smallest width of the bar, in characters.
const WIDTH: usize = 30;
const LEAST_WIDTH: usize = 10;
/// The columns of a terminal that does not tell its width.
const COLUMNS: u16 = 80;
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
        // Such a terminal cannot draw a line again.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_terminal = std::io::stderr().is_terminal() && !is_dumb;
        Self { total, is_terminal, last: Duration::ZERO }
    }

    /// Reports that this many messages are published, this time after the first write.
    pub(super) fn advance(&mut self, published: usize, elapsed: Duration) {
        let text = if self.is_terminal {
            // Returns to the start of the line, and removes its rest.
            let columns = size().map_or(COLUMNS, |(columns, _)| columns);
            format!("\r{}\u{1b}[K", bar(published, self.total, elapsed, columns.into()))
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

/// Returns the bar with the numbers, the speed and the time that is left. A narrow terminal gets
/// less of it: a line that wraps could not be drawn again.
fn bar(published: usize, total: usize, elapsed: Duration, columns: usize) -> String {
    let numbers = format!("{published} of {total}");
    let seconds = elapsed.as_secs_f64();
    let mut texts = Vec::new();
    if published > 0 && seconds > 0.0 {
        let speed = published as f64 / seconds;
        let left = Duration::from_secs_f64(total.saturating_sub(published) as f64 / speed);
        let left = span(left);
        texts.push(format!("{numbers}, {speed:.0} a second, {left} left"));
        texts.push(format!("{numbers}, {left} left"));
    }
    texts.push(numbers.clone());
    // Brackets, a blank, and the last column, which stays free.
    let room = |text: &String| columns.saturating_sub(4 + text.chars().count());
    match texts.iter().find(|text| room(text) >= LEAST_WIDTH) {
        None => numbers,
        Some(text) => {
            let width = room(text).min(WIDTH);
            let full = (published * width).checked_div(total).unwrap_or(width).min(width);
            format!("[{}{}] {text}", "#".repeat(full), ".".repeat(width - full))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_bar_with_speed_and_time_left() {
        let half = bar(5_000, 10_000, Duration::from_secs(1), 80);
        let expected = "[###############...............] 5000 of 10000, 5000 a second, 1.0 s left";
        assert_eq!(half, expected);
        let start = bar(0, 10, Duration::ZERO, 80);
        assert_eq!(start, "[..............................] 0 of 10");
        let end = bar(10, 10, Duration::from_secs(2), 80);
        assert!(end.starts_with(&format!("[{}]", "#".repeat(30))), "{end}");
        assert!(bar(0, 0, Duration::ZERO, 80).contains("0 of 0"));
    }

    #[test]
    fn never_fills_the_line_of_a_narrow_terminal() {
        let at = |columns| bar(50_000, 100_000, Duration::from_secs(10), columns);
        for columns in 16..120 {
            assert!(at(columns).chars().count() < columns, "{columns}: {}", at(columns));
        }
        assert_eq!(at(60), "[#######........] 50000 of 100000, 5000 a second, 10 s left");
        assert_eq!(at(42), "[######......] 50000 of 100000, 10 s left");
        assert_eq!(at(20), "50000 of 100000");
    }
}
