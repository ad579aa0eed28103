//! One zone, as requests and its loading task share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use caracal_revocation_state::Moment;
use tokio::sync::{Notify, watch};

use crate::policy_state::ZonePolicyState;

/// One zone: its policy state, and the requests for a load.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) name: Arc<str>,
    pub(crate) state: ArcSwap<ZonePolicyState>,
    /// The time of the last request, in milliseconds of the monotonic clock.
    used: AtomicU64,
    /// The number of requested loads.
    pub(crate) requested: AtomicU64,
    /// The last requested load that an attempt has answered; [`CLOSED`] once the zone is removed.
    pub(crate) answered: watch::Sender<u64>,
    pub(crate) wake: Notify,
}

/// The zone is removed, so no attempt will answer.
const CLOSED: u64 = u64::MAX;

impl Zone {
    pub(crate) fn new(name: &str, now: Moment) -> Self {
        Self {
            name: name.into(),
            state: ArcSwap::from_pointee(ZonePolicyState::new(now)),
            used: AtomicU64::new(millis(now)),
            requested: AtomicU64::new(1),
            answered: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    /// Records a request, at most once a second, because threads that write here slow each other
    /// down.
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

    /// Requests a load that begins after this call. Returns the number to wait for.
    pub(crate) fn request_load(&self) -> u64 {
        let number = self.requested.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        number
    }

    /// Waits until an attempt that began after [`request_load`](Self::request_load) has ended, with
    /// or without success. Returns `false` if the zone was removed before such an attempt.
    pub(crate) async fn wait_for_load(&self, number: u64) -> bool {
        let mut answered = self.answered.subscribe();
        // The sender lives as long as the zone, so the wait always ends with a value.
        answered.wait_for(|answered| *answered >= number).await.is_ok_and(|last| *last != CLOSED)
    }

    /// Marks the zone as removed, and ends every wait for a load.
    pub(crate) fn close(&self) {
        self.answered.send_replace(CLOSED);
    }
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.monotonic.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn removed_zone_ends_waits() {
        let now = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let zone = Zone::new("z-1", now);
        let number = zone.request_load();
        let waiting = zone.wait_for_load(number);
        zone.close();
        assert!(!waiting.await, "no load has answered");
    }
}
