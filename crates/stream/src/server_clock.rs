//! The lead of the server's clock over this machine's, and its error.
//!
//! The server answers `TIME` at some moment between a read being sent and its answer arriving:
//! each answer so gives bounds on the lead. Bounds are kept and narrowed from answer to answer,
//! and widen by what clocks drift apart meanwhile.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::Moment;

/// Between two answers that were not made to wait, which say it most exactly.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
/// Clocks are taken to drift apart by no more than 100 µs a second.
const DRIFT: u32 = 10_000;
/// `TIME` is cut to microseconds.
const RESOLUTION: i128 = 1_000;

/// Bounds on the server's lead over this machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerClock {
    bounds: Option<Bounds>,
    /// When an answer that did not wait was last asked for, by the monotonic clock.
    measured: Option<Duration>,
}

/// In nanoseconds, as they were `at`.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: i128,
    most: i128,
    at: Moment,
}

impl ServerClock {
    /// Returns `true` if the next read must be answered at once, as a measurement. Called before
    /// each read.
    pub(crate) fn is_due(&mut self, now: Moment) -> bool {
        let is_due = self
            .measured
            .is_none_or(|before| now.monotonic.saturating_sub(before) >= MEASURED_EVERY);
        if is_due {
            self.measured = Some(now.monotonic);
        }
        is_due
    }

    /// Takes in that the server's clock read `server_time` (since the Unix epoch) at some moment
    /// between these.
    pub(crate) fn observe(&mut self, server_time: Duration, sent: Moment, received: Moment) {
        let server = nanos(server_time);
        let seen = Bounds {
            least: server - nanos(received.wall),
            most: server + RESOLUTION - nanos(sent.wall),
            at: received,
        };
        let narrowed = self.bounds.map(|known| known.widened(received).narrowed(seen));
        // No overlap: one of the clocks was set, and what was known is void.
        let kept = narrowed.filter(|both| both.least <= both.most).unwrap_or(seen);
        // A clock set backwards between the two readings bounds nothing.
        self.bounds = (kept.least <= kept.most).then_some(kept).or(self.bounds);
    }

    /// The server's lead in nanoseconds: the middle of its bounds.
    fn lead(&self) -> i128 {
        self.bounds.map_or(0, |bounds| i128::midpoint(bounds.least, bounds.most))
    }

    /// The lead in seconds, and how far that may be off; none before the first answer.
    pub(crate) fn lead_seconds(&self, now: Moment) -> Option<(f64, f64)> {
        let bounds = self.bounds?.widened(now);
        let width = bounds.most - bounds.least;
        Some((self.lead() as f64 / 1e9, width as f64 / 2e9))
    }

    /// How long before `now` the entry was added, by the server's clock. Its id tells only the
    /// millisecond, so this is too long by up to one.
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

    /// What a server says that is ahead by `LEAD`.
    fn server(moment: Moment) -> Duration {
        moment.wall + LEAD
    }

    /// The lead and its error in milliseconds.
    fn known(clock: &ServerClock, now: Moment) -> (f64, f64) {
        let (lead, error) = clock.lead_seconds(now).unwrap();
        (lead * 1e3, error * 1e3)
    }

    #[test]
    fn knows_nothing_before_the_first_answer() {
        assert!(ServerClock::default().lead_seconds(at(0)).is_none());
    }

    #[test]
    fn the_lead_is_within_half_a_round_trip_wherever_in_it_the_server_answered() {
        for answered in [1_000, 1_003, 1_010] {
            let mut clock = ServerClock::default();
            clock.observe(server(at(answered)), at(1_000), at(1_010));
            let (lead, error) = known(&clock, at(1_010));
            assert!((lead - 250.0).abs() <= error + 1e-6, "{lead} ± {error}");
            assert!((error - 5.0).abs() < 0.01, "{error}");
        }
    }

    #[test]
    fn an_answer_that_was_made_to_wait_does_not_blur_what_is_known() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(1_000)), at(1_000), at(1_001));
        clock.observe(server(at(1_001)), at(1_001), at(2_001));
        let (lead, error) = known(&clock, at(2_001));
        // Half of the round trip, and the drift of a second.
        assert!(error < 0.7, "{error}");
        assert!((lead - 250.0).abs() <= error + 1e-6, "{lead} ± {error}");
    }

    #[test]
    fn the_error_grows_by_the_drift_until_it_is_measured_again() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(0)), at(0), at(1));
        let (_, fresh) = known(&clock, at(1));
        let (_, old) = known(&clock, at(10_001));
        assert!((old - fresh - 1.0).abs() < 0.01, "{fresh} {old}");
    }

    #[test]
    fn a_clock_that_was_set_is_measured_afresh() {
        let mut clock = ServerClock::default();
        clock.observe(server(at(0)), at(0), at(1));
        let set = server(at(100)) + Duration::from_secs(3_600);
        clock.observe(set, at(100), at(102));
        let (lead, error) = known(&clock, at(102));
        assert!((lead - 3_600_250.0).abs() <= error + 0.01 && error < 1.1, "{lead} ± {error}");
    }

    #[test]
    fn ages_are_told_by_the_servers_clock_and_never_negative() {
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
