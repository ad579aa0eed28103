//! Checks the alerts that fired while Redis was restarted from time to time.

use std::time::Duration;

use super::restarts::Restart;

/// The period that alerts look back over, plus the delay of their evaluation.
const WINDOW: Duration = Duration::from_secs(660);

/// An alert at one moment since the start.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Duration,
    pub name: String,
    pub cause: Option<String>,
    pub is_firing: bool,
}

/// Returns the alerts that fired without a cause.
pub fn check(seen: &[Seen], restarts: &[Restart]) -> Vec<String> {
    let mut series: Vec<(&Seen, Duration)> = Vec::new();
    for alert in seen {
        match series.iter_mut().find(|(first, _)| is_same(first, alert)) {
            Some((_, last)) => *last = alert.at,
            None => series.push((alert, alert.at)),
        }
    }
    let mut faults = Vec::new();
    for (first, last) in series {
        let state = if first.is_firing { "fired" } else { "pending" };
        let cause = first.cause.as_deref().unwrap_or("-");
        let Seen { at, name, .. } = first;
        println!("  {state}: {name} ({cause}), first at {at:.0?}, last at {last:.0?}");
    }
    for alert in seen.iter().filter(|alert| alert.is_firing && !is_true(alert, restarts)) {
        let fault = format!("fired without a cause: {}", alert.name);
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults
}

fn is_same(one: &Seen, other: &Seen) -> bool {
    (&one.name, &one.cause, one.is_firing) == (&other.name, &other.cause, other.is_firing)
}

/// Returns `true` if the alert has a cause: a restart may have lost acknowledged messages. No other
/// alert has one.
fn is_true(alert: &Seen, restarts: &[Restart]) -> bool {
    let is_of = |restart: &Restart| {
        restart.stopped <= alert.at && alert.at <= restart.back.saturating_add(WINDOW)
    };
    alert.name == "CaracalRevocationPossiblyLost"
        && alert.cause.as_deref() == Some("restarted")
        && restarts.iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: u64, name: &str, is_firing: bool) -> Seen {
        let at = Duration::from_secs(second);
        Seen { at, name: name.to_owned(), cause: Some("restarted".to_owned()), is_firing }
    }

    #[test]
    fn only_possible_loss_after_restart_is_true() {
        let restarts =
            [Restart { stopped: Duration::from_secs(100), back: Duration::from_secs(102) }];
        let lost = "CaracalRevocationPossiblyLost";
        assert_eq!(check(&[seen(110, lost, true), seen(700, lost, true)], &restarts), [""; 0]);
        assert_eq!(check(&[seen(50, lost, true), seen(60, lost, true)], &restarts).len(), 1);
        assert_eq!(check(&[seen(900, lost, true)], &restarts).len(), 1);
        let stale = "CaracalRevocationStale";
        assert_eq!(check(&[seen(110, stale, false)], &restarts), [""; 0], "pending is not firing");
        assert_eq!(check(&[seen(110, stale, true)], &restarts).len(), 1);
    }
}
