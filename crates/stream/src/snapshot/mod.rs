//! A sealed snapshot on disk: what was known, and how far the streams were read.
//!
//! After a restart with Redis away, what was revoked is refused at once. The snapshot is as fresh
//! as its last proof: once that is older than the bound, everything else is answered 503, until
//! the streams were read again, from their first entry. Its counters then show that nothing is
//! missing after its end. It is optional, and off by default.

mod boot;
mod file;
mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod saver;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing};
use caracal_revocation_state::{Moment, RevocationsWriter};

use crate::entry::PerStream;

pub(crate) use boot::Boot;
pub(crate) use format::{Checkpoint, Snapshot};
pub(crate) use saver::{Position, Saver};

/// The setting that names the file.
pub(crate) const SETTING: &str = "CARACAL_REVOCATION_SNAPSHOT";

/// How often it is written.
pub(crate) const EVERY: Duration = Duration::from_secs(20);

/// Where a snapshot is kept, and who may have sealed it.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    keys: KeyRing,
}

/// Why a snapshot cannot be used: it is as if there were none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the file cannot be read or written: {0}")]
    File(#[from] io::Error),
    #[error("it is no snapshot, or torn")]
    NotASnapshot,
    #[error("it is of version {0}, which this program does not know")]
    Version(u16),
    #[error("its seal is broken: it was changed, or sealed with another stream key")]
    Seal,
    #[error("it is {0} s old: nothing in it can matter any more")]
    Outdated(u64),
    #[error("{0}")]
    Recall(#[from] caracal_revocation_state::RecallError),
    #[error("there is no stream key to seal it with")]
    NoKey,
}

/// What a snapshot says about how far the streams were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recalled {
    pub(crate) tracks: PerStream<Checkpoint>,
    /// When the last proof was sent, where this machine can tell.
    pub(crate) as_of: Option<Moment>,
    /// An accepted key had signed a message of the streams.
    pub(crate) key_is_proven: bool,
}

impl Keeper {
    pub(crate) const fn new(path: PathBuf, keys: KeyRing) -> Self {
        Self { path, keys }
    }

    /// Puts what the file says into the state, if there is one.
    pub(crate) fn recall(
        &self,
        writer: &RevocationsWriter,
    ) -> Result<Option<Recalled>, SnapshotError> {
        let Some(bytes) = file::read(&self.path)? else { return Ok(None) };
        let snapshot = format::open(&bytes, &self.keys)?;
        let now = writer.now();
        let age = now.wall.saturating_sub(Duration::from_millis(snapshot.as_of_ms));
        if age > writer.options().memory {
            return Err(SnapshotError::Outdated(age.as_secs()));
        }
        writer.recall(&snapshot.state)?;
        let as_of = snapshot.elapsed(now, Boot::now().as_ref()).and_then(|elapsed| {
            // On a clock that cannot go back so far it would look younger than it is.
            (now.monotonic > elapsed).then(|| now.earlier_by(elapsed))
        });
        let key_is_proven = snapshot.key_is_proven;
        Ok(snapshot.tracks().map(|tracks| Recalled { tracks, as_of, key_is_proven }))
    }

    /// Writes it; the one that was there stays until the new one is whole.
    pub(crate) fn keep(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let key: &Key = self.keys.signing_key().ok_or(SnapshotError::NoKey)?;
        file::replace(&self.path, &format::seal(snapshot, key))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
