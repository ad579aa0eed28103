//! Measures the lead of the server's clock over this machine's clock, and the possible error of
//! that lead.
//!
//! The server answers `TIME` at some moment between sending the read and receiving the answer. So
//! each answer bounds the lead. Each new answer narrows the bounds, and between answers they widen
//! by the possible drift of the clocks.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::Moment;

/// The interval between two reads that do not wait: their answers give the tightest bounds.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
/// The assumed drift of the clocks: at most 100 µs per second.
const DRIFT: u32 = 10_000;
/// The resolution of `TIME` in nanoseconds.
const RESOLUTION: i128 = 1_000;

/// Bounds on the server's lead over this machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerClock {
    bounds: Option<Bounds>,
    /// The time by the monotonic clock at which a read without waiting was last requested.
    measured: Option<Duration>,
}

/// Bounds in nanoseconds, valid at the moment `at`.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: i128,
    most: i128,
    at: Moment,
}

impl ServerClock {
    /// Returns `true` if the next read must not wait, to measure the lead. Called before each read.
    pub(crate) fn is_due(&mut self, now: Moment) -> bool {
        let is_due = self
            .measured
            .is_none_or(|before| now.monotonic.saturating_sub(before) >= MEASURED_EVERY);
        if is_due {
            self.measured = Some(now.monotonic);
        }
        is_due
    }

    /// Records that the server's clock showed `server_time` (since the Unix epoch) at some moment
    /// between `sent` and `received`.
    pub(crate) fn observe(&mut self, server_time: Duration, sent: Moment, received: Moment) {
        let server = nanos(server_time);
        let seen = Bounds {
            least: server - nanos(received.wall),
            most: server + RESOLUTION - nanos(sent.wall),
            at: received,
        };
        let narrowed = self.bounds.map(|known| known.widened(received).narrowed(seen));
        // Bounds without overlap: one of the clocks was set, so the earlier bounds are void.
        let kept = narrowed.filter(|both| both.least <= both.most).unwrap_or(seen);
        // If a clock was set back between the two moments, this answer gives no bounds.
        self.bounds = (kept.least <= kept.most).then_some(kept).or(self.bounds);
    }

    /// Returns the server's lead in nanoseconds: the middle of its bounds.
    fn lead(&self) -> i128 {
        self.bounds.map_or(0, |bounds| i128::midpoint(bounds.least, bounds.most))
    }

    /// Returns the latest time that the server's clock may show at `now`, since the Unix epoch.
    pub(crate) fn latest(&self, now: Moment) -> Duration {
        let most = self.bounds.map_or(0, |bounds| bounds.widened(now).most);
        let latest = nanos(now.wall) + most;
        Duration::from_nanos(u64::try_from(latest.max(0)).unwrap_or(u64::MAX))
    }

    /// Returns the lead and its possible error in seconds, or `None` before the first answer.
    pub(crate) fn lead_seconds(&self, now: Moment) -> Option<(f64, f64)> {
        let bounds = self.bounds?.widened(now);
        let width = bounds.most - bounds.least;
        Some((self.lead() as f64 / 1e9, width as f64 / 2e9))
    }

    /// Returns the time from adding the entry to `now`, by the server's clock. An id contains only
    /// milliseconds, so the result may be up to one too long.
    pub(crate) fn age(&self, id: StreamId, now: Moment) -> Duration {
        let added = i128::from(id.ms) * 1_000_000;
        let age = nanos(now.wall) + self.lead() - added;
        Duration::from_nanos(u64::try_from(age.max(0)).unwrap_or(u64::MAX))
    }
}

impl Bounds {
    fn widened(self, now: Moment) -> Self {
        let drift = nanos(now.elapsed_since(self.at) / DRIFT);
        Self { least: self.least - drift, most: self.most + drift, at: now }
    }

    fn narrowed(self, seen: Self) -> Self {
        Self { least: self.least.max(seen.least), most: self.most.min(seen.most), at: seen.at }
    }
}

fn nanos(since: Duration) -> i128 {
    i128::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: Duration = Duration::from_millis(250);

    fn at(millis: u64) -> Moment {
        Moment {
            monotonic: Duration::from_millis(millis),
            wall: Duration::from_secs(1_795_400_000) + Duration::from_millis(millis),
        }
    }

    /// Returns the time of a server that is ahead by `LEAD`.
    fn server(moment: Moment) -> Duration {
        moment.wall + LEAD
    }

    /// Returns the lead and its error in milliseconds.
    fn known(clock: &ServerClock, now: Moment) -> (f64, f64) {
        let (lead, error) = clock.lead_seconds(now).unwrap();
        (lead * 1e3, error * 1e3)
    }

    #[test]
    fn knows_nothing_before_the_first_answer() {
        assert!(ServerClock::default().lead_seconds(at(0)).is_none());
    }

    #[test]
    fn lead_is_exact_to_half_a_round_trip() {
        for answered in [1_000, 1_003, 1_010] {
            let mut clock = ServerClock::default();
            clock.observe(server(at(answered)), at(1_000), at(1_010));
            let (lead, error) = known(&clock, at(1_010));
            assert!((lead - 250.0).abs() <= error + 1e-6, "{lead} ± {error}");
            assert!((error - 5.0).abs() < 0.01, "{error}");
        }
    }

    #[test]
    fn waiting_read_does_not_widen_bounds() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(1_000)), at(1_000), at(1_001));
        clock.observe(server(at(1_001)), at(1_001), at(2_001));
        let (lead, error) = known(&clock, at(2_001));
        // Half of the round trip, and the drift of a second.
        assert!(error < 0.7, "{error}");
        assert!((lead - 250.0).abs() <= error + 1e-6, "{lead} ± {error}");
    }

    #[test]
    fn error_grows_by_drift_until_next_measurement() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(0)), at(0), at(1));
        let (_, fresh) = known(&clock, at(1));
        let (_, old) = known(&clock, at(10_001));
        assert!((old - fresh - 1.0).abs() < 0.01, "{fresh} {old}");
    }

    #[test]
    fn measures_again_after_clock_was_set() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(0)), at(0), at(1));
        let set = server(at(100)) + Duration::from_secs(3_600);
        clock.observe(set, at(100), at(102));
        let (lead, error) = known(&clock, at(102));
        assert!((lead - 3_600_250.0).abs() <= error + 0.01 && error < 1.1, "{lead} ± {error}");
    }

    #[test]
    fn latest_time_is_never_before_the_servers_own() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.latest(at(5)), at(5).wall, "without an answer both clocks count as equal");
        clock.observe(server(at(1_010)), at(1_000), at(1_010));
        for later in [1_010, 1_500, 60_000] {
            let ahead = clock.latest(at(later)).checked_sub(server(at(later)));
            // The round trip, and the drift of the clocks since.
            assert!(ahead.is_some_and(|ahead| ahead < Duration::from_millis(18)), "{ahead:?}");
        }
    }

    #[test]
    fn ages_use_server_clock_and_are_never_negative() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(1_000)), at(1_000), at(1_000));
        let added = |millis| StreamId::new(server(at(millis)).as_millis() as u64, 0);
        let age = clock.age(added(990), at(1_000)).as_secs_f64();
        assert!((age - 0.010).abs() < 1e-5, "{age}");
        assert_eq!(clock.age(added(2_000), at(1_000)), Duration::ZERO);
    }

    #[test]
    fn is_measured_every_five_seconds() {
        let mut clock = ServerClock::default();
        assert!(clock.is_due(at(0)));
        assert!(!clock.is_due(at(4_999)));
        assert!(clock.is_due(at(5_000)));
        assert!(!clock.is_due(at(5_001)));
    }
}
