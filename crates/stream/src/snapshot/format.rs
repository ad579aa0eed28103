//! The format of a snapshot: a name, a version, the content, and a seal over all of them.

use std::io;
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing, SEAL_LEN, Stream};
use caracal_revocation_state::{Moment, StateSnapshot};
use serde::{Deserialize, Serialize};

use super::position::{Boot, Checkpoint, Position};
use crate::entry::PerStream;

const NAME: &[u8] = b"caracal revocation snapshot\n";
const VERSION: u16 = 2;
/// The name and the version, as written to the file.
pub(crate) const HEAD: &[u8] = b"caracal revocation snapshot\n\x02\0";
const PURPOSE: &str = "snapshot";

/// The reason that a snapshot cannot be used. The follower then starts without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the file cannot be read or written: {0}")]
    File(#[from] io::Error),
    #[error("not a snapshot, or truncated")]
    NotASnapshot,
    #[error("the file is of version {0}, which this program does not support")]
    Version(u16),
    #[error("the seal is broken: the file was changed, or sealed with another stream key")]
    Seal,
    #[error("the file is {0} s old: no valid token is affected by it")]
    Outdated(u64),
    #[error("{0}")]
    Recall(#[from] caracal_revocation_state::RestoreError),
    #[error("no stream key is set to seal the snapshot with")]
    NoKey,
}

/// The state, and the position in each stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The time at which the last proof was sent, by the wall clock, in milliseconds.
    pub(crate) as_of_ms: u64,
    /// The send time of the last proof by the clock since the machine's boot, if there is one.
    pub(crate) as_of_boot: Option<Boot>,
    /// `true` if an accepted key has signed a message of the streams.
    pub(crate) key_is_proven: bool,
    /// The checkpoint of each stream, by its name.
    tracks: Vec<(String, Checkpoint)>,
    pub(crate) state: StateSnapshot,
}

impl Snapshot {
    /// Creates a snapshot of this state at this position.
    pub(crate) fn new(
        position: Position,
        now: Moment,
        boot: Option<Boot>,
        state: StateSnapshot,
    ) -> Self {
        let Position { as_of, key_is_proven, tracks } = position;
        let names = Stream::ALL.map(|stream| stream.name().to_owned());
        let staleness = now.elapsed_since(as_of);
        Self {
            as_of_ms: u64::try_from(as_of.wall.as_millis()).unwrap_or(u64::MAX),
            as_of_boot: boot
                .and_then(|Boot { id, up }| Some(Boot { id, up: up.checked_sub(staleness)? })),
            key_is_proven,
            tracks: names.into_iter().zip(tracks).collect(),
            state,
        }
    }

    /// Returns the time from sending the last proof to `now`, by the clock with the larger result.
    /// Returns `None` if only the wall clock is known, because it may have been set in between.
    pub(crate) fn elapsed(&self, now: Moment, boot: Option<&Boot>) -> Option<Duration> {
        let up = boot.zip(self.as_of_boot.as_ref()).and_then(|(now, then)| now.since(then))?;
        Some(up.max(now.wall.saturating_sub(Duration::from_millis(self.as_of_ms))))
    }

    /// Returns the checkpoint of each stream, or `None` if one is missing.
    pub(crate) fn tracks(&self) -> Option<PerStream<Checkpoint>> {
        let mut found = PerStream::default();
        for (stream, place) in Stream::ALL.into_iter().zip(&mut found) {
            *place = self.tracks.iter().find(|(name, _)| name == stream.name())?.1;
        }
        Some(found)
    }
}

pub(crate) fn seal(snapshot: &Snapshot, key: &Key) -> Vec<u8> {
    let bytes = HEAD.to_vec();
    // Writing fails only for values of unknown length, and a snapshot contains none. The result
    // would then be rejected when it is read.
    let mut bytes = postcard::to_extend(snapshot, bytes).unwrap_or_default();
    let seal = key.seal(PURPOSE, &bytes);
    bytes.extend(seal);
    bytes
}

/// Checks the version and the seal before anything else is parsed.
pub(crate) fn open(bytes: &[u8], keys: &KeyRing) -> Result<Snapshot, SnapshotError> {
    let rest = bytes.strip_prefix(NAME).ok_or(SnapshotError::NotASnapshot)?;
    let (version, _) = rest.split_first_chunk().ok_or(SnapshotError::NotASnapshot)?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let (sealed, seal) = bytes.split_last_chunk::<SEAL_LEN>().ok_or(SnapshotError::NotASnapshot)?;
    // rule: snapshot-is-sealed
    if !keys.is_sealed(PURPOSE, sealed, seal) {
        return Err(SnapshotError::Seal);
    }
    parse(sealed)
}

/// Parses the content between the version and the seal.
pub(crate) fn parse(sealed: &[u8]) -> Result<Snapshot, SnapshotError> {
    let content = sealed.strip_prefix(HEAD).ok_or(SnapshotError::NotASnapshot)?;
    let (snapshot, left): (Snapshot, _) =
        postcard::take_from_bytes(content).map_err(|_| SnapshotError::NotASnapshot)?;
    if !left.is_empty() || snapshot.tracks().is_none() {
        return Err(SnapshotError::NotASnapshot);
    }
    Ok(snapshot)
}
