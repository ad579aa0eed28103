//! What the doctor looks at, gathered from Redis. No judgement here.

use std::collections::BTreeMap;
use std::time::Duration;

use caracal_revocation_event::{KeySlot, RejectionKind, Stream, StreamId};
use caracal_revocation_state::NotReady;
use caracal_revocation_stream::{
    DeadLetter, GroupReport, InspectError, Inspector, KeyReport, Right, ServerReport, Settings,
    StreamLayout, Watch,
};

use crate::dead_letters::cause;
use crate::settings::Sources;

/// History that is looked at: as long as revocations are remembered.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Dead letters beyond so many are counted and not read.
const MAX_LETTERS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) server: ServerReport,
    pub(super) rights: Vec<Right>,
    /// The contract's streams.
    pub(super) streams: Vec<StreamEvidence>,
    /// The dead letters of the streams that change state.
    pub(super) dead: Vec<DeadEvidence>,
    /// The last day as a follower reads it, or why it cannot.
    pub(super) replay: Result<Replay, String>,
    /// Whether a second accepted key is configured.
    pub(super) has_previous_key: bool,
    /// The server's clock, since the Unix epoch.
    pub(super) now: Duration,
}

#[derive(Debug)]
pub(super) struct StreamEvidence {
    pub(super) layout: &'static StreamLayout,
    /// What stands there, or why that was not to be told.
    pub(super) found: Result<KeyReport, String>,
    pub(super) groups: Vec<GroupReport>,
}

#[derive(Debug)]
pub(super) struct DeadEvidence {
    pub(super) stream: Stream,
    pub(super) length: u64,
    /// How many by cause, of those of the last day.
    pub(super) recent: BTreeMap<String, u64>,
}

/// What a follower with these keys makes of the last day.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) streams: [Judged; Stream::ALL.len()],
    /// Messages by the key that signed them: current, previous, unsigned.
    pub(super) keys: [u64; 3],
    pub(super) not_ready: Option<NotReady>,
    /// In seconds since the Unix epoch.
    pub(super) horizon: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    pub(super) applied: u64,
    pub(super) bad_signatures: u64,
    pub(super) unusable: u64,
    pub(super) last_refused: Option<StreamId>,
    pub(super) last: Option<StreamId>,
    /// From the decision to the stream, of each message that says when it was decided.
    pub(super) delays: Vec<Duration>,
}

pub(super) async fn gather(server: &Settings, sources: &Sources) -> Result<Evidence, InspectError> {
    let mut inspector = Inspector::connect(server).await?;
    let now = inspector.time().await?;
    let report = inspector.server().await?;
    let rights = inspector.rights().await?;
    let mut streams = Vec::new();
    for layout in &StreamLayout::ALL {
        streams.push(stream(&mut inspector, layout).await);
    }
    let mut dead = Vec::new();
    for stream in Stream::ALL {
        dead.extend(letters(&mut inspector, stream, now).await);
    }
    let replay = match sources.settings() {
        Ok(settings) => replay(&settings, now).await.map_err(|error| error.to_string()),
        Err(failure) => Err(failure.to_string()),
    };
    let previous = ["STREAMS_HMAC_KEY_PREVIOUS", "STREAMS_HMAC_KEY_PREVIOUS_FILE"];
    let has_previous_key = previous.into_iter().any(|name| sources.find(name).is_some());
    Ok(Evidence { server: report, rights, streams, dead, replay, has_previous_key, now })
}

async fn stream(inspector: &mut Inspector, layout: &'static StreamLayout) -> StreamEvidence {
    let found = inspector.stream(layout.name).await.map_err(|error| error.to_string());
    let groups = match &found {
        Ok(KeyReport::Stream(stream)) => inspector.groups(layout.name, stream).await,
        _ => Ok(Vec::new()),
    };
    match groups {
        Ok(groups) => StreamEvidence { layout, found, groups },
        Err(error) => StreamEvidence { layout, found: Err(error.to_string()), groups: Vec::new() },
    }
}

/// None where it is not to be told: a consumer may not be allowed to read dead letters.
async fn letters(inspector: &mut Inspector, stream: Stream, now: Duration) -> Option<DeadEvidence> {
    let key = format!("{stream}.dead");
    let length = match inspector.stream(&key).await.ok()? {
        KeyReport::Stream(report) => report.length,
        KeyReport::Missing | KeyReport::NoStream => 0,
    };
    let mut recent = BTreeMap::new();
    let since = u64::try_from(now.saturating_sub(DAY).as_millis()).unwrap_or(u64::MAX);
    if length > 0 {
        for entry in inspector.entries(&key, StreamId::new(since, 0), MAX_LETTERS).await.ok()? {
            let letter = DeadLetter::parse(&entry.fields());
            let cause =
                letter.map_or_else(|error| error.to_string(), |letter| cause(&letter).to_owned());
            *recent.entry(cause).or_default() += 1;
        }
    }
    Some(DeadEvidence { stream, length, recent })
}

async fn replay(settings: &Settings, now: Duration) -> Result<Replay, InspectError> {
    let since = u64::try_from(now.saturating_sub(DAY).as_millis()).unwrap_or(u64::MAX);
    let mut watch = Watch::open(settings, Some(StreamId::new(since, 0))).await?;
    let mut replay = Replay::default();
    loop {
        let round = watch.round(Duration::from_millis(1), |sighting| {
            let Some(judged) = replay.streams.get_mut(sighting.stream.index()) else { return };
            judged.last = Some(sighting.id);
            match sighting.outcome {
                Ok(event) => {
                    judged.applied += 1;
                    let slot = match event.key() {
                        KeySlot::Current => 0,
                        KeySlot::Previous => 1,
                        KeySlot::Unsigned => 2,
                    };
                    if let Some(count) = replay.keys.get_mut(slot) {
                        *count += 1;
                    }
                    judged.delays.extend(event.decided().map(|decided| {
                        Duration::from_millis(sighting.id.ms.saturating_sub(decided.as_millis()))
                    }));
                }
                Err(rejection) => {
                    judged.last_refused = Some(sighting.id);
                    match rejection.kind() {
                        RejectionKind::Signature => judged.bad_signatures += 1,
                        _ => judged.unusable += 1,
                    }
                }
            }
        });
        if round.await?.is_idle {
            break;
        }
    }
    let state = watch.revocations();
    replay.not_ready = state.staleness(state.now()).err();
    replay.horizon = state.horizon();
    Ok(replay)
}

impl StreamEvidence {
    /// How many entries it has, if it is a stream.
    pub(super) fn length(&self) -> u64 {
        match &self.found {
            Ok(KeyReport::Stream(report)) => report.length,
            _ => 0,
        }
    }

    /// When its last entry was added.
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

    /// How long ago the server gave out this id.
    pub(super) fn age(&self, id: StreamId) -> Duration {
        self.now.saturating_sub(Duration::from_millis(id.ms))
    }
}
