//! Reports the age of the view each second, and logs when it is late. While a read hangs, no
//! attempt fails, so failed reads alone do not show that.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::internal::{CALM, Episode};
use caracal_revocation_state::{Moment, Revocations};

use crate::metrics::StreamMetrics;

/// The longest time between two reports.
const EVERY: Duration = Duration::from_secs(1);

/// Logs once when the view becomes late, and once when it is fresh again.
#[derive(Debug)]
pub(crate) struct ViewAge {
    /// The time at which reading began. A state from a snapshot may be old then, and is reported as
    /// late only after some time for reading.
    began: Moment,
    old: Episode,
}

impl ViewAge {
    pub(crate) fn new(now: Moment) -> Self {
        Self { began: now, old: Episode::default().over_after(CALM) }
    }

    /// Logs a change at this moment. Returns the time after which the view may be late.
    pub(crate) fn log(&mut self, revocations: &Revocations, now: Moment) -> Option<Duration> {
        let options = revocations.options();
        let readiness = revocations.readiness(now);
        let had_time = now.elapsed_since(self.began) > options.warn_after;
        if readiness.is_late && had_time {
            if self.old.goes_on((), now.monotonic) {
                tracing::warn!(
                    staleness = readiness.staleness.unwrap_or_default().as_secs_f64(),
                    bound = options.deny_after.as_secs_f64(),
                    "the view is getting old: beyond the bound every request is denied with 503; \
                     check the connection to Redis"
                );
            }
        } else if !readiness.is_late && self.old.is_over(now.monotonic) {
            tracing::info!("the view is fresh again");
        }
        let left = options.warn_after.checked_sub(readiness.staleness?)?;
        // The view is late only beyond that time.
        Some(left + Duration::from_millis(1))
    }
}

/// Reports the age of the view, even while a read waits for a server that hangs. When dropped,
/// reports that nothing updates the view any more.
pub(crate) struct Reporter {
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) revocations: Revocations,
}

/// Runs when the follower is stopped, is dropped or panics.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.metrics.ended();
        if std::thread::panicking() {
            tracing::error!(
                "the follower panicked: the view goes stale, and beyond the bound every request is \
                 denied with 503; restart the process"
            );
        }
    }
}

impl Reporter {
    /// Reports at intervals. Never ends.
    pub(crate) async fn run(self) {
        let mut age = ViewAge::new(self.revocations.now());
        loop {
            let now = self.revocations.now();
            self.metrics.state(&self.revocations, now);
            self.metrics.size(&self.revocations);
            let old_after = age.log(&self.revocations, now);
            tokio::time::sleep(old_after.unwrap_or(EVERY).min(EVERY)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};

    use super::*;
    use crate::logged;

    const OLD: &str = "WARN caracal_revocation_stream::view_age: the view is getting old";
    const FRESH: &str = "INFO caracal_revocation_stream::view_age: the view is fresh again";

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    struct Scene {
        clock: Arc<ManualClock>,
        revocations: RevocationsWriter,
        age: ViewAge,
    }

    impl Scene {
        fn new(options: Options) -> Self {
            logged::begin();
            let clock = Arc::new(ManualClock::new());
            let revocations = RevocationsWriter::with_clock(options, clock.clone());
            let age = ViewAge::new(revocations.now());
            Self { clock, revocations, age }
        }

        fn after(&mut self, wait: Duration) -> Option<Duration> {
            self.clock.advance(wait);
            self.age.log(&self.revocations, self.revocations.now())
        }

        fn confirm(&self) {
            self.revocations.confirm(self.revocations.now());
        }
    }

    #[test]
    fn old_view_is_logged_when_due_and_ends_once() {
        let mut scene = Scene::new(Options::default());
        scene.confirm();
        assert_eq!(scene.after(millis(4_800)), Some(millis(201)));
        assert_eq!(logged::count(OLD), 0);
        for _ in 0..20 {
            assert_eq!(scene.after(millis(201)), None);
            assert_eq!(logged::count(OLD), 1);
        }
        for _ in 0..20 {
            scene.confirm();
            scene.after(millis(1_000));
        }
        assert_eq!((logged::count(OLD), logged::count(FRESH)), (1, 1));
    }

    #[test]
    fn repeatedly_old_view_is_logged_once() {
        let mut scene = Scene::new(Options::default());
        for _ in 0..100 {
            scene.confirm();
            scene.after(millis(1_000));
            scene.after(millis(4_500));
        }
        assert_eq!((logged::count(OLD), logged::count(FRESH)), (1, 0));
    }

    #[test]
    fn old_snapshot_gets_time_to_be_read() {
        let mut scene = Scene::new(Options::default());
        scene.revocations.confirm(scene.revocations.now().earlier_by(millis(30_000)));
        scene.after(millis(3_000));
        scene.confirm();
        scene.after(millis(3_000));
        assert_eq!(logged::count("the view"), 0);
    }

    #[test]
    fn warns_before_bound_of_five_seconds() {
        let mut options = Options::default();
        options.deny_after = millis(5_000);
        let mut scene = Scene::new(options);
        scene.confirm();
        scene.after(millis(4_000));
        assert!(scene.revocations.readiness(scene.revocations.now()).is_ready());
        assert_eq!(logged::count(OLD), 1);
    }
}
