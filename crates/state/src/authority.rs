//! What a token stands on, digested: once a token and not once a request.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::deciding::Subject;
use crate::digest::Digest;
use crate::found::Found;
use crate::index::Index;
use crate::lifetime::Lifetime;
use crate::sync::{AtomicU64, Ordering};
use crate::{AnchorKind, Checks, Claims, Moment, Revocations, Verdict};

/// What a token stands on, as one [`Revocations`] sees it: made once a token, asked at each
/// request.
///
/// [`Revocations::decide`] digests and looks up the text of each anchor every time. Whoever keeps
/// what was verified can keep this beside it: it is cheap to clone, digested once, and not looked
/// up again until more is known than when it was found clean.
///
/// ```
/// use caracal_revocation_state::{Checks, Claims, Known, Options, Revocations, Verdict};
///
/// let revocations = Revocations::new(Options::default());
/// let now = i64::try_from(revocations.now().wall.as_secs())?;
/// let authority = revocations.authority(&Claims::new("ar-1", now, now + 900));
/// revocations.confirm(revocations.now());
/// let verdict = authority.decide(&Checks::default(), revocations.now());
/// assert!(matches!(verdict, Verdict::Admitted(_)));
///
/// revocations.add(&Known::Revoked("ar-1"), revocations.now());
/// let verdict = authority.decide(&Checks::default(), revocations.now());
/// assert!(matches!(verdict, Verdict::Refused(_)));
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

// In this order: what each verdict reads stands side by side.
#[repr(C)]
struct Inner {
    /// The digests mean nothing to another state.
    revocations: Revocations,
    /// How much was known when the index held nothing against any anchor: see
    /// [`Index::additions`](crate::index::Index::additions).
    clean_at: AtomicU64,
    grounds: Grounds,
    claims: Arc<Claims>,
}

/// Before anything was asked: so much is never known.
const NEVER: u64 = u64::MAX;

impl Authority {
    pub(crate) fn new(revocations: Revocations, grounds: Grounds, claims: Arc<Claims>) -> Self {
        Self(Arc::new(Inner { revocations, clean_at: AtomicU64::new(NEVER), grounds, claims }))
    }

    /// The verdict at this moment, as [`Revocations::decide`] gives it on the claims that this was
    /// made of. Allocates nothing, and takes a lock where that does.
    pub fn decide(&self, checks: &Checks, now: Moment) -> Verdict {
        self.0.revocations.decide_on(self.subject(), checks, now)
    }

    /// The state that it was made by and asks.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether it names an authority record at all; one that does not matches nothing, and must
    /// not pass for that.
    #[must_use]
    pub fn names_record(&self) -> bool {
        self.0.names_record()
    }

    /// The claims that it was made of.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// Whether it says the same as these claims would: the same anchors in the same places, zone,
    /// epoch and times.
    #[must_use]
    pub fn is_of<S: AsRef<str>>(&self, claims: &Claims<S>) -> bool {
        *self.grounds() == self.0.revocations.grounds(claims, true)
    }

    /// The zone that the claims name.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.grounds().zone.as_deref()
    }

    /// See [`Revocations::take_enforcement_lag`].
    #[must_use]
    pub fn take_enforcement_lag(&self, checks: &Checks, now: Moment) -> Option<Duration> {
        let anchors = self.grounds().anchors(checks.chain);
        self.0.revocations.take_lag(anchors.iter().map(|anchor| anchor.digest().fast()), now)
    }

    pub(crate) fn grounds(&self) -> &Grounds {
        &self.0.grounds
    }

    pub(crate) fn subject(&self) -> &impl Subject {
        &*self.0
    }
}

impl Subject for Inner {
    #[inline]
    fn may_be_held(&self, index: &Index, with_chain: bool) -> bool {
        // Before the index is asked: what comes meanwhile is counted later.
        let additions = index.additions();
        // Whoever noted this had seen all that it counts; so it needs no order of its own.
        if self.clean_at.load(Ordering::Relaxed) == additions {
            return false;
        }
        let is_held = self.grounds.may_be_held(index, with_chain);
        // Without those of the chain it would say too much.
        if !is_held && with_chain {
            self.clean_at.store(additions, Ordering::Relaxed);
        }
        is_held
    }

    fn find(&self, index: &Index, with_chain: bool) -> Found {
        self.grounds.find(index, with_chain)
    }

    fn names_record(&self) -> bool {
        self.grounds.anchors.first().is_some_and(|anchor| anchor.kind() == AnchorKind::Sid)
    }

    fn zone(&self) -> Option<&str> {
        self.grounds.zone.as_deref()
    }

    fn epoch(&self) -> u64 {
        self.grounds.epoch
    }

    fn iat(&self) -> i64 {
        self.grounds.iat
    }

    fn exp(&self) -> i64 {
        self.grounds.exp
    }

    #[inline]
    fn lifetime(&self) -> Lifetime {
        self.grounds.lifetime
    }

    fn is_in_tables(&self) -> bool {
        self.grounds.is_in_tables
    }

    fn has_earlier_hops(&self) -> bool {
        self.grounds.has_earlier_hops
    }
}

/// Without the digests, and the state that it asks.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("zone", &self.zone()).finish_non_exhaustive()
    }
}

/// The anchors of a token as digests, and what else a verdict asks for; small enough to keep for a
/// hundred thousand requests.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Grounds {
    /// First: each verdict reads it.
    lifetime: Lifetime,
    /// The token's own, then those of its chain.
    anchors: SmallVec<[Anchor; 4]>,
    /// How many are its own: four at most.
    own: u8,
    pub(crate) is_in_tables: bool,
    pub(crate) has_earlier_hops: bool,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) epoch: u64,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}

/// An anchor's digest, with its kind in the bits that a digest spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor(u128);

/// In the order of the kinds.
const KINDS: [AnchorKind; 6] = [
    AnchorKind::Sid,
    AnchorKind::RootSid,
    AnchorKind::AgentSession,
    AnchorKind::Delegation,
    AnchorKind::ChainSession,
    AnchorKind::ChainDelegation,
];

impl Anchor {
    const fn new(digest: Digest, kind: AnchorKind) -> Self {
        Self(digest.bits() | kind as u128)
    }

    #[inline]
    pub(crate) const fn digest(self) -> Digest {
        Digest::of_slot(self.0)
    }

    pub(crate) fn kind(self) -> AnchorKind {
        KINDS.get(self.0 as usize & 0xff).copied().unwrap_or(AnchorKind::Sid)
    }

    fn is_own(self) -> bool {
        !matches!(self.kind(), AnchorKind::ChainSession | AnchorKind::ChainDelegation)
    }
}

impl Grounds {
    pub(crate) fn of<S: AsRef<str>>(
        claims: &Claims<S>,
        with_chain: bool,
        digest: impl Fn(&str) -> Digest,
    ) -> Self {
        let mut anchors = SmallVec::<[Anchor; 4]>::new();
        // Not a `for` loop: over a chain of iterators that would ask at each step which is next.
        claims.anchors(with_chain).for_each(|(kind, id)| {
            anchors.push(Anchor::new(digest(id), kind));
        });
        Self {
            lifetime: Lifetime::of(claims.iat, claims.exp),
            own: anchors.iter().fold(0, |own, anchor| own + u8::from(anchor.is_own())),
            anchors,
            zone: claims.zone_id.as_ref().map(|zone| shared(zone.as_ref())),
            epoch: claims.delegation_graph_epoch,
            iat: claims.iat,
            exp: claims.exp,
            is_in_tables: claims.is_in_tables(),
            has_earlier_hops: claims.has_earlier_hops(),
        }
    }

    #[inline]
    fn may_be_held(&self, index: &Index, with_chain: bool) -> bool {
        let anchors = self.anchors(with_chain).iter();
        let held = index.view(|view| {
            let hold = |anchor: &Anchor| view.may_hold(anchor.digest().fast());
            anchors.clone().fold(false, |any, anchor| any | hold(anchor))
        });
        held.unwrap_or(false)
    }

    /// What the index holds about them.
    pub(crate) fn find(&self, index: &Index, with_chain: bool) -> Found {
        let found = index.view(|view| {
            let anchors = self.anchors(with_chain).iter();
            let anchors = anchors.map(|anchor| (anchor.kind(), anchor.digest()));
            Found::look(anchors, |digest| view.mark_of(digest), self.iat)
        });
        found.unwrap_or_default()
    }

    /// The token's own anchors, and those of its chain too or not.
    #[inline]
    pub(crate) fn anchors(&self, with_chain: bool) -> &[Anchor] {
        if with_chain {
            &self.anchors
        } else {
            self.anchors.get(..self.own.into()).unwrap_or_default()
        }
    }
}

thread_local! {
    /// The zone of the last request of this thread: a service has one, or few.
    static LAST_ZONE: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// The zone's text, shared with the thread's last request where that named the same.
fn shared(zone: &str) -> Arc<str> {
    let last = LAST_ZONE.try_with(Cell::take).ok().flatten().filter(|last| **last == *zone);
    let zone = last.unwrap_or_else(|| zone.into());
    // At the end of a thread there is no place for it any more.
    let _ = LAST_ZONE.try_with(|last| last.set(Some(Arc::clone(&zone))));
    zone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hop;
    use crate::digest::{DigestKeys, Digester};

    #[test]
    fn an_anchor_keeps_its_digest_and_its_kind() {
        let digest = Digester::new(DigestKeys::random()).digest("id");
        for kind in KINDS {
            let anchor = Anchor::new(digest, kind);
            assert_eq!((anchor.digest(), anchor.kind()), (digest, kind));
        }
    }

    #[test]
    fn the_anchors_of_the_chain_can_be_left_out() {
        let digester = Digester::new(DigestKeys::random());
        let mut claims = Claims::new("ar-1", 1_000, 2_000);
        claims.delegation_edge_id = Some("e-0".into());
        claims.delegation_chain = vec![Hop::new(Some("s-1".into()), Some("e-1".into()))];
        claims.delegation_path = vec!["e-2".into()];
        let digests = |ids: &[&str]| ids.iter().map(|id| digester.digest(id)).collect::<Vec<_>>();
        for (with_chain, ids) in
            [(true, &["ar-1", "e-0", "s-1", "e-1", "e-2"][..]), (false, &["ar-1", "e-0"])]
        {
            let all = Grounds::of(&claims, true, |id| digester.digest(id));
            let own: Vec<_> = all.anchors(with_chain).iter().map(|own| own.digest()).collect();
            assert_eq!(own, digests(ids));
        }
    }

    #[test]
    fn it_is_of_the_claims_that_it_was_made_of_and_of_no_others() {
        let revocations = Revocations::new(crate::Options::default());
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

    #[test]
    fn requests_of_the_same_zone_share_its_text_and_others_have_their_own() {
        let [one, same, other, back] = ["z-1", "z-1", "z-2", "z-1"].map(shared);
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!([&*other, &*back], ["z-2", "z-1"]);
    }
}
