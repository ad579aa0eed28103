//! Text for people: makes untrusted text safe for a terminal, and formats times.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use caracal_revocation_event::{OccurredAt, StreamId};

/// Returns the text with control characters escaped. Otherwise an attacker with write access to
/// Redis could use them to change the output of a terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_unsafe(letter) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "{}", letter.escape_unicode());
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// Returns `true` for control characters, and for those that change the direction of writing.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Formats a span of time in a suitable unit.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() == 0 => format!("{} µs", span.as_micros()),
        0 => format!("{} ms", span.as_millis()),
        1..10 => format!("{:.1} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Returns the time of an id, in ISO 8601.
pub(crate) fn time_of(id: StreamId) -> String {
    OccurredAt::from_unix(Duration::from_millis(id.ms))
        .map_or_else(|| format!("{} ms", id.ms), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_terminal_control_characters() {
        assert_eq!(plain("révoqué ✅"), "révoqué ✅");
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(plain("\u{202e}evil"), "\\u{202e}evil");
    }

    #[test]
    fn formats_times_in_a_suitable_unit() {
        let shown = [40, 40_000, 4_200_000, 90_000_000, 600_000_000]
            .map(|micros| span(Duration::from_micros(micros)));
        assert_eq!(shown, ["40 µs", "40 ms", "4.2 s", "90 s", "10 min"]);
        assert_eq!(span(Duration::from_secs(259_200)), "3 d");
        assert_eq!(time_of(StreamId::new(1_795_168_800_123, 7)), "2026-11-20T10:00:00.123Z");
        assert_eq!(time_of(StreamId::new(u64::MAX, 0)), format!("{} ms", u64::MAX));
    }
}
