//! The anchors of a token, digested once for each token and reused by every request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::anchors::{AnchorLookup, AnchorSet};
use crate::claims::{AnchorKind, Claims};
use crate::clock::{Moment, UnixSeconds};
use crate::deciding::Subject;
use crate::index::{Index, Parts};
use crate::lifetime::Lifetime;
use crate::revocations::Revocations;
use crate::state::State;
use crate::sync::{AtomicU64, Ordering};
use crate::verdict::{Checks, Verdict};

/// The anchors of a token, digested for one [`Revocations`]: created once for each token, used by
/// each of its requests.
///
/// [`Revocations::decide`] digests and looks up the text of each anchor every time. Cache an
/// `Authority` alongside the verified token instead. It is cheap to clone. Once its anchors were
/// not in the index, they are hardly ever looked up again: only after an entry was added whose
/// digest resembles one of theirs.
///
/// ```
/// use caracal_revocation_state::{Checks, Claims, BaselineFact, Options, RevocationsWriter, Verdict};
///
/// let revocations = RevocationsWriter::new(Options::default());
/// let now = i64::try_from(revocations.now().wall.as_secs())?;
/// let authority = revocations.authority(&Claims::new("ar-1", now, now + 900));
/// revocations.confirm(revocations.now());
/// let verdict = authority.decide(&Checks::default(), revocations.now());
/// assert!(matches!(verdict, Verdict::Admitted(_)));
///
/// revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
/// let verdict = authority.decide(&Checks::default(), revocations.now());
/// assert!(matches!(verdict, Verdict::Denied(_)));
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

// Field order matters: the fields that each verdict reads are adjacent.
#[repr(C)]
struct Inner {
    /// The state whose keys the digests use. They are valid for no other state.
    state: Arc<State>,
    /// The number of all additions to the index, before the last lookup that found no anchor in it.
    clean_at: AtomicU64,
    /// The number of additions to the parts of this token, before the last such lookup.
    clean_in_parts: AtomicU64,
    /// `None` if the token has too many anchors.
    parts: Option<Parts>,
    lifetime: Lifetime,
    anchors: AnchorSet,
    claims: Arc<Claims>,
}

/// The number of additions before a lookup has found no anchor: one that is never reached.
const NOT_LOOKED_UP: u64 = u64::MAX;

impl Authority {
    fn new(state: Arc<State>, claims: Arc<Claims>) -> Self {
        let anchors = state.anchors(&claims, true);
        let parts = Parts::of(anchors.anchors.iter().map(|anchor| anchor.digest()));
        let [clean_at, clean_in_parts] = [(); 2].map(|()| AtomicU64::new(NOT_LOOKED_UP));
        let lifetime = Lifetime::of(anchors.iat, anchors.exp);
        Self(Arc::new(Inner { state, clean_at, clean_in_parts, parts, lifetime, anchors, claims }))
    }

    /// Decides at this moment, as [`Revocations::decide`] does on the claims that this was created
    /// from. Allocates nothing, and takes the locks that [`Revocations::decide`] takes.
    pub fn decide(&self, checks: &Checks, now: Moment) -> Verdict {
        self.0.state.decide_on(self.subject(), checks, now)
    }

    /// Returns `true` if this state created it. Its digests are valid for no other state.
    #[must_use]
    pub fn is_by(&self, revocations: &Revocations) -> bool {
        self.is_of_state(revocations.state())
    }

    pub(crate) fn is_of_state(&self, state: &Arc<State>) -> bool {
        Arc::ptr_eq(&self.0.state, state)
    }

    /// Returns `true` if it names an authority record. An authority without one matches no
    /// revocation, and must not be admitted.
    #[must_use]
    pub fn names_record(&self) -> bool {
        self.0.names_record()
    }

    /// Returns the claims that it was created from.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// Returns `true` if an authority of these claims would equal this one: the same anchors in the
    /// same claims, zone, epoch and times.
    #[must_use]
    pub fn is_of<S: AsRef<str>>(&self, claims: &Claims<S>) -> bool {
        *self.anchors() == self.0.state.anchors(claims, true)
    }

    /// Returns the zone that the claims name.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.anchors().zone.as_deref()
    }

    /// Calls [`Revocations::take_enforcement_lag`] for the anchors of this token.
    #[must_use]
    pub fn take_enforcement_lag(&self, checks: &Checks, now: Moment) -> Option<Duration> {
        let anchors = self.anchors().anchors(checks.chain);
        self.0.state.take_lag(anchors.iter().map(|anchor| anchor.digest().fast()), now)
    }

    pub(crate) fn anchors(&self) -> &AnchorSet {
        &self.0.anchors
    }

    pub(crate) fn subject(&self) -> &impl Subject {
        &*self.0
    }
}

impl Revocations {
    /// Digests these claims once, for decisions on many requests. The authority keeps a copy of the
    /// claims.
    #[must_use]
    pub fn authority<S: AsRef<str>>(&self, claims: &Claims<S>) -> Authority {
        self.authority_of(Arc::new(claims.to_owned_text()))
    }

    /// Digests shared claims like [`Self::authority`], without copying them.
    #[must_use]
    pub fn authority_of(&self, claims: Arc<Claims>) -> Authority {
        Authority::new(Arc::clone(self.state()), claims)
    }
}

impl Subject for Inner {
    #[inline]
    fn may_be_held(&self, index: &Index, with_chain: bool) -> bool {
        // Both numbers are read before the lookup, the number of all additions first: an entry that
        // is added meanwhile increases them later.
        let additions = index.additions();
        let all = additions.all();
        // Relaxed is enough for the notes: the thread that stored a number had seen every entry
        // that it counts.
        if self.clean_at.load(Ordering::Relaxed) == all {
            return false;
        }
        let in_parts = self.parts.map(|parts| additions.in_parts(parts));
        if in_parts.is_some_and(|sum| self.clean_in_parts.load(Ordering::Relaxed) == sum) {
            self.clean_at.store(all, Ordering::Relaxed);
            return false;
        }
        let is_held = self.anchors.may_be_held(index, with_chain);
        // A lookup without the chain does not prove that the whole token is clean.
        if !is_held && with_chain {
            self.clean_at.store(all, Ordering::Relaxed);
            if let Some(sum) = in_parts {
                self.clean_in_parts.store(sum, Ordering::Relaxed);
            }
        }
        is_held
    }

    fn find(&self, index: &Index, with_chain: bool) -> AnchorLookup {
        self.anchors.find(index, with_chain)
    }

    fn names_record(&self) -> bool {
        self.anchors.anchors.first().is_some_and(|anchor| anchor.kind() == AnchorKind::Sid)
    }

    fn zone(&self) -> Option<&str> {
        self.anchors.zone.as_deref()
    }

    fn epoch(&self) -> u64 {
        self.anchors.epoch
    }

    fn iat(&self) -> UnixSeconds {
        self.anchors.iat
    }

    fn exp(&self) -> UnixSeconds {
        self.anchors.exp
    }

    #[inline]
    fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    fn is_in_tables(&self) -> bool {
        self.anchors.is_in_tables
    }

    fn has_earlier_hops(&self) -> bool {
        self.anchors.has_earlier_hops
    }
}

/// Omits the digests and the state.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("zone", &self.zone()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::writer::RevocationsWriter;

    #[test]
    fn authority_equals_only_its_own_claims() {
        let revocations = RevocationsWriter::new(Options::default());
        let mut claims = Claims::new("ar-1", 1_000, 2_000);
        claims.delegation_path = vec!["e-1".into()];
        let authority = revocations.authority(&claims);
        assert!(authority.is_of(&claims));
        let changes: [fn(&mut Claims); 6] = [
            |claims| claims.sid = "ar-2".into(),
            |claims| claims.delegation_path.clear(),
            |claims| claims.zone_id = Some("z-1".into()),
            |claims| claims.delegation_graph_epoch = 1,
            |claims| claims.iat = 1,
            |claims| claims.exp = 1,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = claims.clone();
            change(&mut other);
            assert!(!authority.is_of(&other), "change {number}");
        }
    }
}
