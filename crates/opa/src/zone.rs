//! One zone as requests see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use caracal_revocation_state::Moment;
use tokio::sync::{Notify, watch};

use crate::policy_state::ZonePolicyState;

/// One zone: its policy state, and the loads that are asked for.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) name: Arc<str>,
    pub(crate) state: ArcSwap<ZonePolicyState>,
    /// Milliseconds of the monotonic clock at the last request.
    used: AtomicU64,
    /// The number of loads that were asked for.
    pub(crate) wanted: AtomicU64,
    /// The last of them that an attempt has answered; [`LEFT`] once the zone has left.
    pub(crate) answered: watch::Sender<u64>,
    pub(crate) wake: Notify,
}

/// No attempt answers any more: the zone has left.
const LEFT: u64 = u64::MAX;

impl Zone {
    pub(crate) fn new(name: &str, now: Moment) -> Self {
        Self {
            name: name.into(),
            state: ArcSwap::from_pointee(ZonePolicyState::new(now)),
            used: AtomicU64::new(millis(now)),
            wanted: AtomicU64::new(1),
            answered: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    /// Notes a request, at most once a second: threads that write to it slow each other down.
    pub(crate) fn touch(&self, now: Moment) {
        let now = millis(now);
        if now.saturating_sub(self.used.load(Ordering::Relaxed)) >= 1_000 {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_idle(&self, now: Moment, idle: Duration) -> bool {
        let unused = millis(now).saturating_sub(self.used.load(Ordering::Relaxed));
        Duration::from_millis(unused) > idle
    }

    /// Asks for a load that begins after this call, and returns the number to wait for.
    pub(crate) fn want(&self) -> u64 {
        let number = self.wanted.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        number
    }

    /// Waits until an attempt that began after [`want`](Self::want) has ended, with or without
    /// success. Returns `false` if there was none, since the zone has left.
    pub(crate) async fn until_answered(&self, number: u64) -> bool {
        let mut answered = self.answered.subscribe();
        // The sender lives as long as the zone: there is always an answer to wait for.
        answered.wait_for(|answered| *answered >= number).await.is_ok_and(|last| *last != LEFT)
    }

    /// Ends the waiting for loads: the zone has left.
    pub(crate) fn leave(&self) {
        self.answered.send_replace(LEFT);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.monotonic.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_zone_that_leaves_is_let_go() {
        let now = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let zone = Zone::new("z-1", now);
        let number = zone.want();
        let waiting = zone.until_answered(number);
        zone.leave();
        assert!(!waiting.await, "nobody answered");
    }
}
