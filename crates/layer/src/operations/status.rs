//! The content of `/status` and of the page: the facts about the service's own view.

#[cfg(feature = "status-page")]
use caracal_revocation_state::Readiness;
use caracal_revocation_state::{
    BaselineReport, FollowerReport, Moment, ReloadReport, Revocations, SnapshotReport,
    StreamReport, Tally,
};
use serde::Serialize;

use super::readiness::Report;

/// The JSON body of `/status`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    #[serde(flatten)]
    pub(super) report: Report,
    pub(super) staleness_bound_seconds: f64,
    /// The share of the history that was read, until all of it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replayed: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) follower_ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<Details>,
    #[cfg(feature = "status-page")]
    #[serde(skip)]
    pub(super) readiness: Readiness,
    /// The wall clock, in seconds since the Unix epoch.
    #[cfg(feature = "status-page")]
    #[serde(skip)]
    pub(super) unix_now: i64,
}

/// The part of the status that only operators see.
#[derive(Debug, Serialize)]
pub(super) struct Details {
    pub(super) version: &'static str,
    pub(super) uptime_seconds: f64,
    pub(super) strict: bool,
    pub(super) entries: usize,
    pub(super) max_entries: usize,
    pub(super) index_bytes: usize,
    pub(super) streams: Vec<StreamStatus>,
    pub(super) suspected_gaps: Vec<Count>,
    pub(super) keys: Vec<KeyStatus>,
    pub(super) bad_signatures: Messages,
    pub(super) baseline: Option<BaselineStatus>,
    pub(super) snapshot: Option<SnapshotStatus>,
    pub(super) reload: Option<ReloadStatus>,
}

#[derive(Debug, Serialize)]
pub(super) struct StreamStatus {
    pub(super) stream: &'static str,
    pub(super) cursor: String,
    pub(super) exists: bool,
    pub(super) proven_seconds_ago: Option<f64>,
    pub(super) replayed: f64,
    pub(super) gaps: Vec<Count>,
}

/// A number of events of one cause.
#[derive(Debug, Serialize)]
pub(super) struct Count {
    pub(super) cause: &'static str,
    pub(super) count: u64,
    pub(super) last_seconds_ago: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct KeyStatus {
    pub(super) slot: &'static str,
    #[serde(flatten)]
    pub(super) verified: Messages,
}

/// A number of messages.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    pub(super) messages: u64,
    pub(super) last_seconds_ago: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct BaselineStatus {
    pub(super) read_seconds_ago: Option<f64>,
    pub(super) complete_read_seconds_ago: Option<f64>,
    pub(super) facts: u64,
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SnapshotStatus {
    pub(super) restored: bool,
    pub(super) written_seconds_ago: Option<f64>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ReloadStatus {
    /// `running`, `complete` or `incomplete`.
    pub(super) state: &'static str,
    pub(super) requested_seconds_ago: Option<f64>,
    pub(super) ended_seconds_ago: Option<f64>,
    pub(super) messages: u64,
    pub(super) streams_error: Option<&'static str>,
    pub(super) baseline_error: Option<String>,
}

impl Status {
    /// Returns the status at this moment. `unmet` is the condition of the service that does not hold.
    /// `began` is the time since which the process answers, for an operator who may see the details.
    pub(super) fn of(
        revocations: &Revocations,
        unmet: Option<&'static str>,
        now: Moment,
        began: Option<Moment>,
    ) -> Self {
        // Read once: two readings could contradict each other.
        let readiness = revocations.readiness(now);
        let follower = revocations.follower();
        let replayed = follower.streams.iter().map(|stream| stream.replayed).reduce(f64::min);
        Self {
            report: Report::of(&readiness, unmet),
            staleness_bound_seconds: revocations.options().deny_after.as_secs_f64(),
            replayed: replayed.filter(|share| *share < 1.0),
            follower_ended: follower.has_ended,
            details: began.map(|began| Details::of(revocations, &follower, now, began)),
            #[cfg(feature = "status-page")]
            readiness,
            #[cfg(feature = "status-page")]
            unix_now: i64::try_from(now.wall.as_secs()).unwrap_or(i64::MAX),
        }
    }
}

impl Details {
    fn of(
        revocations: &Revocations,
        follower: &FollowerReport,
        now: Moment,
        began: Moment,
    ) -> Self {
        let options = revocations.options();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: rounded(now, began),
            strict: options.strict,
            entries: revocations.entries(),
            max_entries: options.max_entries,
            index_bytes: revocations.bytes(),
            streams: follower.streams.iter().map(|stream| StreamStatus::of(stream, now)).collect(),
            suspected_gaps: counts(&follower.suspicions, |cause| cause.label(), now),
            keys: (follower.keys.iter())
                .map(|(slot, verified)| KeyStatus {
                    slot: slot.label(),
                    verified: Messages::of(*verified, now),
                })
                .collect(),
            bad_signatures: Messages::of(follower.bad_signatures, now),
            baseline: follower.baseline.as_ref().map(|report| BaselineStatus::of(report, now)),
            snapshot: follower.snapshot.as_ref().map(|report| SnapshotStatus::of(report, now)),
            reload: follower.reload.as_ref().map(|report| ReloadStatus::of(report, now)),
        }
    }
}

impl StreamStatus {
    fn of(report: &StreamReport, now: Moment) -> Self {
        Self {
            stream: report.stream.name(),
            cursor: report.cursor.to_string(),
            exists: report.exists,
            proven_seconds_ago: ago(report.proven, now),
            replayed: report.replayed,
            gaps: counts(&report.gaps, |cause| cause.label(), now),
        }
    }
}

impl Messages {
    fn of(tally: Tally, now: Moment) -> Self {
        Self { messages: tally.count, last_seconds_ago: ago(tally.last, now) }
    }
}

impl BaselineStatus {
    fn of(report: &BaselineReport, now: Moment) -> Self {
        Self {
            read_seconds_ago: ago(report.read, now),
            complete_read_seconds_ago: ago(report.completed, now),
            facts: report.facts,
            error: report.error.clone(),
        }
    }
}

impl SnapshotStatus {
    fn of(report: &SnapshotReport, now: Moment) -> Self {
        Self {
            restored: report.was_restored,
            written_seconds_ago: ago(report.written, now),
            error: report.error.clone(),
        }
    }
}

impl ReloadStatus {
    fn of(report: &ReloadReport, now: Moment) -> Self {
        let state = match report.ended {
            None => "running",
            Some(_) if report.is_complete() => "complete",
            Some(_) => "incomplete",
        };
        Self {
            state,
            requested_seconds_ago: ago(Some(report.requested), now),
            ended_seconds_ago: ago(report.ended, now),
            messages: report.messages,
            streams_error: report.streams_error.map(|cause| cause.label()),
            baseline_error: report.baseline_error.clone(),
        }
    }
}

fn counts<T: Copy>(
    tallies: &[(T, Tally)],
    label: impl Fn(T) -> &'static str,
    now: Moment,
) -> Vec<Count> {
    let count = |(cause, tally): &(T, Tally)| Count {
        cause: label(*cause),
        count: tally.count,
        last_seconds_ago: ago(tally.last, now),
    };
    tallies.iter().map(count).collect()
}

fn ago(moment: Option<Moment>, now: Moment) -> Option<f64> {
    moment.map(|moment| rounded(now, moment))
}

/// Returns the seconds from `earlier` to `now`, with three decimal places.
fn rounded(now: Moment, earlier: Moment) -> f64 {
    (now.elapsed_since(earlier).as_secs_f64() * 1e3).round() / 1e3
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
