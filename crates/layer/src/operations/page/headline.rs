//! The state in a few large words, and one sentence about its effect.

use caracal_revocation_state::{NotReady, UnknownCause};

use super::super::status::Status;
use super::words::duration;

/// The urgency of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing needs an action.
    Good,
    /// Requests are decided, and an operator should act.
    Warning,
    /// Requests are denied.
    Bad,
}

/// The state for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headline {
    pub(super) level: Level,
    /// The heading and the title of the page.
    pub(super) state: String,
    pub(super) effect: String,
}

impl Headline {
    /// Returns the headline of a status: the most urgent fact.
    pub(super) fn of(status: &Status) -> Self {
        match status.readiness.unready {
            Some(cause) => Self::unready(cause, status),
            None => Self::decided(status),
        }
    }

    fn unready(cause: UnknownCause, status: &Status) -> Self {
        let denied = "Requests are answered 503; tokens that are known to be revoked are denied.";
        let (state, why) = match cause {
            UnknownCause::Stale { staleness, bound } => (
                format!("Stale for {}: denying", duration((staleness - bound).as_secs_f64())),
                format!(
                    "The streams were last proven complete {} ago, and the bound is {}.",
                    duration(staleness.as_secs_f64()),
                    duration(bound.as_secs_f64()),
                ),
            ),
            UnknownCause::NotReady(NotReady::Replaying) => (
                "Starting: denying".to_owned(),
                format!(
                    "The history of the streams is being read: {:.0} %.",
                    100.0 * status.replayed.unwrap_or(0.0),
                ),
            ),
            UnknownCause::NotReady(NotReady::NoSignatureVerifies) => (
                "Wrong stream key: denying".to_owned(),
                "Messages arrive, and no accepted key has signed one.".to_owned(),
            ),
            UnknownCause::NotReady(NotReady::NotProvisioned) => (
                "No streams: denying".to_owned(),
                "The server has none of Caracal's streams.".to_owned(),
            ),
            UnknownCause::Full => {
                ("Full: denying".to_owned(), "More is revoked than there is room for.".to_owned())
            }
            other => (format!("Not ready ({}): denying", other.label()), String::new()),
        };
        Self { level: Level::Bad, state, effect: format!("{why} {denied}") }
    }

    fn decided(status: &Status) -> Self {
        let warning = |state: String, effect: String| Self { level: Level::Warning, state, effect };
        let bound = duration(status.staleness_bound_seconds);
        let age = duration(status.report.staleness_seconds.unwrap_or_default());
        if status.follower_ended {
            let effect = format!(
                "No new revocation is read. Once the view is older than {bound}, every request is \
                 answered 503. Restart the process.",
            );
            return warning("Follower ended: soon denying".to_owned(), effect);
        }
        if let Some(condition) = status.report.reason {
            let effect = "A condition of this service does not hold. Revocations are enforced.";
            return warning(format!("Not ready: {condition}"), effect.to_owned());
        }
        if status.readiness.is_late {
            let effect = format!(
                "The streams were last proven complete {age} ago. Beyond {bound}, every request is \
                 answered 503.",
            );
            return warning(format!("Ready, but {age} old"), effect);
        }
        if status.readiness.degraded.is_some() {
            let effect = "Messages arrive that no accepted key has signed. They are rejected: if they \
                          are revocations, revoked tokens are admitted.";
            return warning("Ready, degraded".to_owned(), effect.to_owned());
        }
        if let Some(horizon) = status.report.horizon {
            let effect = format!(
                "Revocations may be missing. Tokens issued up to {} are denied until they are \
                 refreshed; with a baseline, only tokens of sessions are.",
                moment(horizon, status.unix_now),
            );
            return warning("Ready, with a gap".to_owned(), effect);
        }
        if let Some(outage) = status.readiness.outage {
            let effect = format!(
                "The streams cannot be read now ({}). Beyond {bound}, every request is answered \
                 503.",
                outage.label(),
            );
            return warning("Ready, without Redis".to_owned(), effect);
        }
        let effect = format!("The streams were proven complete {age} ago. The bound is {bound}.");
        Self { level: Level::Good, state: "Ready".to_owned(), effect }
    }
}

/// Returns a time in seconds since the Unix epoch, relative to now.
pub(super) fn moment(second: i64, now: i64) -> String {
    match now.saturating_sub(second) {
        0 => format!("now (Unix time {second})"),
        past @ 1.. => format!("{} ago (Unix time {second})", duration(past as f64)),
        future => format!("{} from now (Unix time {second})", duration(-(future as f64))),
    }
}
