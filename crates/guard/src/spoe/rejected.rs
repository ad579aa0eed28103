//! Counts and logs what HAProxy sent and the guard could not use.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use metrics::{Counter, counter, describe_counter};

const REJECTED: &str = "caracal_guard_spoe_rejected_total";

/// The shortest time between two log lines. A wrong configuration fails on every request.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The counters of rejected frames and messages.
#[derive(Debug)]
pub(super) struct Rejected {
    frames: Counter,
    messages: Counter,
    logged: Mutex<Option<Instant>>,
}

impl Rejected {
    pub(super) fn register() -> Self {
        describe_counter!(REJECTED, "Frames and messages of HAProxy that were rejected, by kind.");
        Self {
            frames: counter!(REJECTED, "kind" => "frame"),
            messages: counter!(REJECTED, "kind" => "message"),
            logged: Mutex::default(),
        }
    }

    /// Reports a connection that is closed because of what HAProxy sent on it.
    pub(super) fn frame(&self, error: impl std::fmt::Display) {
        self.frames.increment(1);
        if self.may_log() {
            tracing::warn!(%error, "SPOE connection closed: its requests are answered 503");
        }
    }

    /// Reports a message that describes no request.
    pub(super) fn message(&self, error: impl std::fmt::Display) {
        self.messages.increment(1);
        if self.may_log() {
            tracing::warn!(
                %error,
                "SPOE message rejected: its request is answered 503; compare spoe.conf with the documentation"
            );
        }
    }

    fn may_log(&self) -> bool {
        let now = Instant::now();
        let Ok(mut logged) = self.logged.lock() else { return false };
        let is_due = logged.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        if is_due {
            *logged = Some(now);
        }
        is_due
    }
}
