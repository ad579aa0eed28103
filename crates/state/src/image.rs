//! Snapshots of a state, for storage and for restoring in another process.

use serde::{Deserialize, Serialize};

use crate::clock::{UnixSeconds, whole_minutes};
use crate::digest::{Digest, DigestKeys, Digester};
use crate::revocations::Revocations;
use crate::suspensions::Suspensions;
use crate::writer::RevocationsWriter;
use crate::zones::ZoneImage;

/// Everything that a [`Revocations`] remembers, in a form to store.
///
/// It holds no text of anchors, only their digests and the digest keys. It does not record how
/// complete the view was.
///
/// ```
/// use caracal_revocation_state::{Checks, Claims, BaselineFact, Options, RevocationsWriter, Verdict};
/// let revocations = RevocationsWriter::new(Options::default());
/// revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
///
/// let later = RevocationsWriter::new(Options::default());
/// later.restore(&revocations.image())?;
/// let claims = Claims::new("ar-1", 1_795_400_000, 1_795_403_600);
/// let verdict = later.decide(&claims, &Checks::default(), later.now());
/// assert!(matches!(verdict, Verdict::Denied(_)));
/// # Ok::<(), caracal_revocation_state::RestoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSnapshot {
    pub(crate) keys: DigestKeys,
    /// The digests of known texts under these keys, computed by the program that wrote the
    /// snapshot.
    probe: Vec<u128>,
    /// Digests; the spare bits hold the minutes left until expiry.
    pub(crate) revoked: Vec<u128>,
    /// Sessions with suspensions, in the same form.
    pub(crate) sessions: Vec<(u128, Suspensions)>,
    pub(crate) zones: Vec<ZoneImage>,
    /// The horizon for the tokens that a second source of truth decides, and the one for all
    /// others.
    pub(crate) horizon: [Option<i64>; 2],
}

/// The reason why a snapshot was not restored; the state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The state already has entries, or digest keys of its own.
    #[error("the state is already in use: restore into a new one")]
    InUse,
    /// The snapshot was written by a program, or on a machine, that computes other digests.
    #[error("the snapshot was written by an incompatible build or machine")]
    OtherDigests,
    /// The snapshot holds an entry that no state can contain.
    #[error("the snapshot holds an impossible entry: it is corrupt")]
    Impossible,
}

impl Revocations {
    /// Returns a snapshot of the state. It may contain some of the additions that other threads
    /// make during the call.
    #[must_use]
    pub fn image(&self) -> StateSnapshot {
        let state = self.state();
        // The horizon first: a second source of truth adds facts and then clears the horizon. A
        // snapshot with neither would admit tokens whose revocation was lost.
        let horizon = state.horizon.export(self.now());
        let (revoked, sessions) = state.index.export(state.now_minute());
        StateSnapshot {
            keys: state.index.keys(),
            probe: Digester::new(state.index.keys()).probe(),
            revoked,
            sessions,
            zones: state.zones.export(),
            horizon: horizon.map(|height| height.map(UnixSeconds::get)),
        }
    }
}

impl RevocationsWriter {
    /// Restores a snapshot into a new state, before its first decision. Each entry is kept for the
    /// time that it had left, but no longer than this state's memory. The state does not become
    /// ready by this.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] if the state is in use, or the snapshot is invalid.
    pub fn restore(&self, image: &StateSnapshot) -> Result<(), RestoreError> {
        let state = self.state();
        let digests = || image.revoked.iter().chain(image.sessions.iter().map(|(word, _)| word));
        if digests().any(|word| !Digest::of_slot(*word).is_possible()) {
            return Err(RestoreError::Impossible);
        }
        if Digester::new(image.keys).probe() != image.probe {
            return Err(RestoreError::OtherDigests);
        }
        if !state.index.adopt(image.keys) {
            return Err(RestoreError::InUse);
        }
        let options = self.options();
        let longest = whole_minutes(options.memory).saturating_add(1);
        let now = state.now_minute();
        // The time since the snapshot is not subtracted, because no clock measures it reliably.
        state.index.import(&image.revoked, &image.sessions, now, longest);
        let at = self.now();
        for (zone, epoch, ended) in &image.zones {
            self.raise_epoch(zone, *ended, true, at);
            self.raise_epoch(zone, *epoch, false, at);
        }
        state.horizon.import(image.horizon.map(|height| height.map(UnixSeconds::new)), at);
        Ok(())
    }
}
