//! Gathers the evidence for the doctor from Redis, without judging it.

use std::collections::BTreeMap;
use std::time::Duration;

use caracal_revocation_admin::{
    GroupReport, Inspector, KeyReport, Purpose, Right, ServerReport, StreamLayout,
};
use caracal_revocation_event::{KeySlot, MessageRejectionKind, Stream, StreamId};
use caracal_revocation_state::{NotReady, OutageCause};
use caracal_revocation_stream::{InspectError, Settings, StreamTail, TailedMessage};

use crate::outcome::Failure;
use crate::settings::Sources;
use crate::watch::read_history;

/// The history that the doctor reads: as long as followers remember revocations.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum number of dead letters that are read by cause.
const MAX_LETTERS: usize = 10_000;

/// The observations that all findings follow from.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) server: ServerReport,
    pub(super) rights: Vec<Right>,
    /// The rights at the server of `REDIS_PRIMARY_URL`, if that is set, or the reason that they are
    /// unknown.
    pub(super) at_primary: Option<Result<Vec<Right>, String>>,
    /// The contract's streams.
    pub(super) streams: Vec<StreamEvidence>,
    /// The dead-letter streams of the streams that change a follower's state.
    pub(super) dead: Vec<DeadEvidence>,
    /// The last day as a follower reads it, or the error that prevents reading it.
    pub(super) replay: Result<Replay, String>,
    /// `true` if a second accepted key is configured.
    pub(super) has_previous_key: bool,
    /// The server's clock, as the time since the Unix epoch.
    pub(super) now: Duration,
}

#[derive(Debug)]
pub(super) struct StreamEvidence {
    pub(super) layout: &'static StreamLayout,
    /// The content of the stream's key, or the error that prevents reading it.
    pub(super) found: Result<KeyReport, InspectError>,
    /// The groups of the stream, or the error that prevents listing them: a follower may lack that
    /// right.
    pub(super) groups: Result<Vec<GroupReport>, String>,
}

#[derive(Debug)]
pub(super) struct DeadEvidence {
    pub(super) stream: Stream,
    pub(super) length: u64,
    /// The id of the last dead letter ever written.
    pub(super) last: StreamId,
    /// The dead letters of the last day, counted by cause, or the error that prevents it.
    pub(super) recent: Result<BTreeMap<String, u64>, String>,
}

/// The state of a follower with these keys after it has read the last day.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) streams: [StreamOutcomes; Stream::ALL.len()],
    /// The number of messages by the key that signed them: current, previous, unsigned.
    pub(super) keys: [u64; 3],
    pub(super) not_ready: Option<NotReady>,
    /// The reason that this server's answers are not proven fresh.
    pub(super) outage: Option<OutageCause>,
    /// The horizon, in seconds since the Unix epoch.
    pub(super) horizon: Option<i64>,
}

/// The messages of one stream, by their outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamOutcomes {
    pub(super) applied: u64,
    pub(super) bad_signatures: u64,
    pub(super) unusable: u64,
    pub(super) last_rejected: Option<StreamId>,
    pub(super) last: Option<StreamId>,
    /// The time from the decision to the stream, for each message that holds the time of its
    /// decision.
    pub(super) delays: Vec<Duration>,
}

pub(super) async fn gather(server: &Settings, sources: &Sources) -> Result<Evidence, InspectError> {
    let mut inspector = Inspector::connect(server).await?;
    let now = inspector.time().await?;
    let report = inspector.server().await?;
    let rights = inspector.rights().await?;
    let at_primary = inspector.rights_at_primary().await.map_err(|error| error.to_string());
    let at_primary = at_primary.transpose();
    let mut streams = Vec::new();
    for layout in &StreamLayout::ALL {
        streams.push(stream(&mut inspector, layout).await);
    }
    let mut dead = Vec::new();
    for stream in Stream::ALL {
        dead.extend(letters(&mut inspector, stream, now).await);
    }
    // Strict mode treats every start as a gap. Only actual gaps are of interest here.
    let replay = match sources.settings().and_then(|_| sources.without("REVOCATION_STRICT")) {
        Ok(settings) => {
            replay(&settings, now).await.map_err(|error| Failure::from(error).to_string())
        }
        Err(failure) => Err(failure.to_string()),
    };
    let previous = ["STREAMS_HMAC_KEY_PREVIOUS", "STREAMS_HMAC_KEY_PREVIOUS_FILE"];
    let has_previous_key = previous.into_iter().any(|name| sources.find(name).is_some());
    Ok(Evidence {
        server: report,
        rights,
        at_primary,
        streams,
        dead,
        replay,
        has_previous_key,
        now,
    })
}

async fn stream(inspector: &mut Inspector, layout: &'static StreamLayout) -> StreamEvidence {
    let found = inspector.stream(layout.name).await;
    let groups = match &found {
        Ok(KeyReport::Stream(stream)) => inspector.groups(layout.name, stream).await,
        _ => Ok(Vec::new()),
    };
    StreamEvidence { layout, found, groups: groups.map_err(|error| error.to_string()) }
}

/// Returns the evidence about a dead-letter stream, or `None` if this user may not inspect its key.
async fn letters(inspector: &mut Inspector, stream: Stream, now: Duration) -> Option<DeadEvidence> {
    let key = format!("{stream}.dead");
    let (length, last) = match inspector.stream(&key).await.ok()? {
        KeyReport::Stream(report) => (report.length, report.last),
        KeyReport::Missing | KeyReport::NoStream => (0, StreamId::ZERO),
    };
    let mut recent = Ok(BTreeMap::new());
    if length > 0 {
        // A follower may lack the right to read dead letters.
        let causes = inspector.dead_letter_causes(stream, since(now), MAX_LETTERS).await;
        recent = causes.map_err(|error| error.to_string());
    }
    Some(DeadEvidence { stream, length, last, recent })
}

/// Returns the first id of the last day.
fn since(now: Duration) -> StreamId {
    let ms = now.saturating_sub(DAY).as_millis();
    StreamId::new(u64::try_from(ms).unwrap_or(u64::MAX), 0)
}

async fn replay(settings: &Settings, now: Duration) -> Result<Replay, InspectError> {
    let mut watch = StreamTail::open(settings, Some(since(now))).await?;
    let mut replay = Replay::default();
    let tally = |message: TailedMessage<'_>| {
        let Some(outcomes) = replay.streams.get_mut(message.stream.index()) else { return };
        outcomes.last = Some(message.id);
        match message.outcome {
            Ok(event) => {
                outcomes.applied += 1;
                let slot = match event.key() {
                    KeySlot::Current => 0,
                    KeySlot::Previous => 1,
                    KeySlot::Unsigned => 2,
                };
                if let Some(count) = replay.keys.get_mut(slot) {
                    *count += 1;
                }
                outcomes.delays.extend(event.decided().map(|decided| {
                    Duration::from_millis(message.id.ms.saturating_sub(decided.as_millis()))
                }));
            }
            Err(rejection) => {
                outcomes.last_rejected = Some(message.id);
                match rejection.kind() {
                    MessageRejectionKind::Signature => outcomes.bad_signatures += 1,
                    _ => outcomes.unusable += 1,
                }
            }
        }
    };
    read_history(&mut watch, tally).await?;
    let state = watch.revocations();
    replay.outage = state.readiness(state.now()).outage;
    replay.not_ready = state.staleness(state.now()).err();
    replay.horizon = state.horizon();
    Ok(replay)
}

impl StreamEvidence {
    /// Returns its groups, or none if they could not be listed.
    pub(super) fn groups(&self) -> &[GroupReport] {
        self.groups.as_deref().unwrap_or_default()
    }

    /// Returns `true` if this group has a reader: a service of Caracal, or a consumer that joined.
    pub(super) fn is_read(&self, group: &GroupReport) -> bool {
        self.layout.is_read(&group.name) || !group.consumers.is_empty()
    }

    /// Returns the number of entries, or 0 if the key is no stream.
    pub(super) fn length(&self) -> u64 {
        match &self.found {
            Ok(KeyReport::Stream(report)) => report.length,
            _ => 0,
        }
    }

    /// Returns the id of its last entry.
    pub(super) fn last(&self) -> Option<StreamId> {
        match &self.found {
            Ok(KeyReport::Stream(report)) if report.length > 0 => Some(report.last),
            _ => None,
        }
    }
}

impl Evidence {
    pub(super) fn stream(&self, name: &str) -> Option<&StreamEvidence> {
        self.streams.iter().find(|stream| stream.layout.name == name)
    }

    /// Returns `true` if a follower with these settings can write dead letters.
    pub(super) fn writes_dead_letters(&self) -> bool {
        let rights = match &self.at_primary {
            None if self.server.is_primary => &self.rights,
            Some(Ok(rights)) => rights,
            _ => return false,
        };
        rights.iter().all(|right| right.held || right.purpose != Purpose::DeadLetter)
    }

    /// Returns the time since the server generated this id.
    pub(super) fn age(&self, id: StreamId) -> Duration {
        self.now.saturating_sub(Duration::from_millis(id.ms))
    }
}
