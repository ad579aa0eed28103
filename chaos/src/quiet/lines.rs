//! Checks the log of a quiet service: each warning once for each restart, and none without one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::restarts::Restart;
use super::service::Line;

/// The time after a start or a restart in which a warning may result from it.
const CONCERNS: Duration = Duration::from_secs(60);
/// The fields that name a cause. Other fields have counts, ages or error texts.
const CAUSES: [&str; 5] = ["cause", "reason", "setting", "stream", "kind"];

/// Returns the warnings that should not have been logged.
pub fn check(lines: &[Line], restarts: &[Restart]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut counts = BTreeMap::<(usize, String), usize>::new();
    for line in lines {
        let Some(warning) = warning(&line.text) else { continue };
        let begun = restarts.iter().filter(|restart| restart.stopped <= line.at).count();
        let since = begun.checked_sub(1).map_or(Duration::ZERO, |last| restarts[last].back);
        if line.at > since + CONCERNS {
            faults.push(format!("logged without a restart at {:.1?}: {warning}", line.at));
        }
        *counts.entry((begun, warning)).or_default() += 1;
    }
    for ((begun, warning), count) in counts {
        println!("  after restart {begun}: {count} x {warning}");
        if count > 1 {
            faults.push(format!("logged {count} times after restart {begun}: {warning}"));
        }
    }
    faults
}

/// Returns the level, the message and its cause, if the line is a warning or an error.
fn warning(line: &str) -> Option<String> {
    let (_time, rest) = line.split_once(' ')?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    if !["WARN", "ERROR"].contains(&level) {
        return None;
    }
    let (_target, text) = rest.split_once(": ")?;
    let mut words = text.split(' ').peekable();
    let mut kept = vec![level];
    while let Some(word) = words.next_if(|word| field(word).is_none()) {
        kept.push(word);
    }
    kept.extend(words.filter(|word| field(word).is_some_and(|name| CAUSES.contains(&name))));
    Some(kept.join(" "))
}

/// Returns the name of the field that begins with this word.
fn field(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seconds: u64, text: &str) -> Line {
        let text = format!("2026-01-01T00:00:00.000000Z {text}");
        Line { at: Duration::from_secs(seconds), text }
    }

    fn restarts() -> Vec<Restart> {
        let restart = |second| Restart {
            stopped: Duration::from_secs(second),
            back: Duration::from_secs(second + 2),
        };
        vec![restart(100), restart(300)]
    }

    const LOST: &str =
        "ERROR caracal: the streams cannot be read error=Redis: reset cause=\"reset\"";

    #[test]
    fn allows_each_warning_once_for_each_restart() {
        let other = LOST.replace("cause=\"reset\"", "cause=\"unreachable\"");
        let lines = [line(101, LOST), line(101, &other), line(301, LOST)];
        assert_eq!(check(&lines, &restarts()), [""; 0]);
        let info = line(200, " INFO caracal: the streams are being read again");
        assert_eq!(check(&[info.clone(), info], &restarts()), [""; 0]);
    }

    #[test]
    fn reports_repeated_warning_with_other_numbers() {
        let other = LOST.replace("error=Redis: reset", "error=Redis: broken pipe count=7");
        let faults = check(&[line(101, LOST), line(102, &other)], &restarts());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("2 times"), "{faults:?}");
    }

    #[test]
    fn reports_warning_without_restart() {
        let faults = check(&[line(250, " WARN caracal: something")], &restarts());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("logged without a restart"), "{faults:?}");
    }
}
