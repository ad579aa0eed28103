//! Everything that a state remembers, as one value: to be kept, and recalled by another process.

use serde::{Deserialize, Serialize};

use crate::clock::{UnixSeconds, whole_minutes};
use crate::digest::{Digest, DigestKeys, Digester};
use crate::revocations::Revocations;
use crate::suspensions::Suspensions;
use crate::writer::RevocationsWriter;
use crate::zones::ZoneImage;

/// Everything that a [`Revocations`] remembers, to be stored.
///
/// It holds no anchor's text, only digests, and the keys that these were made with. How complete
/// the view was is not part of it.
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
    /// The digests of known texts under these keys, where the image was made.
    probe: Vec<u128>,
    /// Digests, and in their spare bits for how many more minutes each is remembered.
    pub(crate) revoked: Vec<u128>,
    /// Likewise the sessions that were suspended.
    pub(crate) sessions: Vec<(u128, Suspensions)>,
    pub(crate) zones: Vec<ZoneImage>,
    /// For the tokens that a second source of truth decides, and for the others.
    pub(crate) horizon: [Option<i64>; 2],
}

/// Why an image was not recalled; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The state already remembers something of its own.
    #[error("the state is in use already")]
    InUse,
    /// The image was made by a program, or on a machine, that makes other digests than this one.
    #[error("its digests mean nothing here: it was made by another version, or on another machine")]
    OtherDigests,
    /// The image holds what no state would have put there.
    #[error("the image holds an entry that cannot be")]
    Impossible,
}

impl Revocations {
    /// Returns everything that is remembered now, and perhaps some of the additions during the
    /// call.
    #[must_use]
    pub fn image(&self) -> StateSnapshot {
        let state = self.state();
        // The horizon first: a second source of truth adds what it knows and then takes it back,
        // and an image with neither would let in what was lost.
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
    /// Adds what another state remembered, for as long as that would have: a state that is new,
    /// before it is asked anything. It does not become ready by this.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when the state is in use, or the image cannot be one.
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
        // The time in between is not taken off: no clock is to be believed about it.
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
