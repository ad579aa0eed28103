//! The anchors of a token as digests, and the result of looking them up in the index.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::claims::{AnchorKind, Claims};
use crate::clock::UnixSeconds;
use crate::digest::Digest;
use crate::index::{Index, Mark};

/// The anchors of a token as digests, with the other values that a verdict needs. Small enough to
/// keep for a hundred thousand requests.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct AnchorSet {
    /// The token's own anchors, then those of its chain.
    pub(crate) anchors: SmallVec<[Anchor; 4]>,
    /// The number of the token's own anchors: at most four.
    own: u8,
    pub(crate) is_in_tables: bool,
    pub(crate) has_earlier_hops: bool,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) epoch: u64,
    pub(crate) iat: UnixSeconds,
    pub(crate) exp: UnixSeconds,
}

/// An anchor's digest, with its kind in the digest's spare bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor(u128);

/// Every kind, in the order of their discriminants.
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

impl AnchorSet {
    pub(crate) fn of<S: AsRef<str>>(
        claims: &Claims<S>,
        with_chain: bool,
        digest: impl Fn(&str) -> Digest,
    ) -> Self {
        let mut anchors = SmallVec::<[Anchor; 4]>::new();
        // `for_each` is faster here than a `for` loop, which checks at each step of a chained
        // iterator which part is next.
        claims.anchors(with_chain).for_each(|(kind, id)| {
            anchors.push(Anchor::new(digest(id), kind));
        });
        let (iat, exp) = (UnixSeconds::new(claims.iat), UnixSeconds::new(claims.exp));
        Self {
            own: anchors.iter().fold(0, |own, anchor| own + u8::from(anchor.is_own())),
            anchors,
            zone: claims.zone_id.as_ref().map(|zone| shared(zone.as_ref())),
            epoch: claims.delegation_graph_epoch,
            iat,
            exp,
            is_in_tables: claims.is_in_tables(),
            has_earlier_hops: claims.has_earlier_hops(),
        }
    }

    #[inline]
    pub(crate) fn may_be_held(&self, index: &Index, with_chain: bool) -> bool {
        let anchors = self.anchors(with_chain).iter();
        let held = index.view(|view| {
            let hold = |anchor: &Anchor| view.may_hold(anchor.digest().fast());
            anchors.clone().fold(false, |any, anchor| any | hold(anchor))
        });
        held.unwrap_or(false)
    }

    /// Looks up the anchors in the index.
    pub(crate) fn find(&self, index: &Index, with_chain: bool) -> AnchorLookup {
        let found = index.view(|view| {
            let anchors = self.anchors(with_chain).iter();
            let anchors = anchors.map(|anchor| (anchor.kind(), anchor.digest()));
            AnchorLookup::search(anchors, |digest| view.mark_of(digest), self.iat)
        });
        found.unwrap_or_default()
    }

    /// Returns the token's own anchors, and those of its chain if `with_chain` is set.
    #[inline]
    pub(crate) fn anchors(&self, with_chain: bool) -> &[Anchor] {
        if with_chain {
            &self.anchors
        } else {
            self.anchors.get(..self.own.into()).unwrap_or_default()
        }
    }
}

/// The result of looking up the anchors of a token in the index.
#[derive(Debug, Default)]
pub(crate) struct AnchorLookup {
    /// The strongest mark against the token: a revocation outweighs a suspension.
    pub(crate) strongest: Option<(AnchorKind, Mark)>,
    /// `true` if one of its sessions was suspended and resumed before the token was issued.
    pub(crate) resumed: bool,
}

impl AnchorLookup {
    #[inline]
    pub(crate) fn search<A>(
        mut anchors: impl Iterator<Item = (AnchorKind, A)>,
        mark: impl Fn(A) -> Option<Mark>,
        iat: UnixSeconds,
    ) -> Self {
        let mut found = Self::default();
        // `try_for_each` is faster here than a `for` loop, which checks at each step of a chained
        // iterator which part is next.
        let revoked = anchors.try_for_each(|(kind, anchor)| {
            match mark(anchor) {
                Some(Mark::Revoked) => return ControlFlow::Break((kind, Mark::Revoked)),
                Some(Mark::Suspended) => found.strongest = Some((kind, Mark::Suspended)),
                Some(Mark::DeniedUpTo(second)) if iat <= second => {
                    found.strongest = found.strongest.or(Some((kind, Mark::DeniedUpTo(second))));
                }
                Some(Mark::DeniedUpTo(_)) => found.resumed = true,
                None => {}
            }
            ControlFlow::Continue(())
        });
        found.strongest = revoked.break_value().or(found.strongest);
        found
    }
}

thread_local! {
    /// The zone of this thread's last request: a service has one zone, or few.
    static LAST_ZONE: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// Returns the zone's text, shared with this thread's last request if the zones are equal.
fn shared(zone: &str) -> Arc<str> {
    let last = LAST_ZONE.try_with(Cell::take).ok().flatten().filter(|last| **last == *zone);
    let zone = last.unwrap_or_else(|| zone.into());
    // Fails only while the thread ends.
    let _ = LAST_ZONE.try_with(|last| last.set(Some(Arc::clone(&zone))));
    zone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Hop;
    use crate::digest::{DigestKeys, Digester};

    #[test]
    fn anchor_keeps_its_digest_and_kind() {
        let digest = Digester::new(DigestKeys::random()).digest("id");
        for kind in KINDS {
            let anchor = Anchor::new(digest, kind);
            assert_eq!((anchor.digest(), anchor.kind()), (digest, kind));
        }
    }

    #[test]
    fn anchors_of_the_chain_can_be_left_out() {
        let digester = Digester::new(DigestKeys::random());
        let mut claims = Claims::new("ar-1", 1_000, 2_000);
        claims.delegation_edge_id = Some("e-0".into());
        claims.delegation_chain = vec![Hop::new(Some("s-1".into()), Some("e-1".into()))];
        claims.delegation_path = vec!["e-2".into()];
        let digests = |ids: &[&str]| ids.iter().map(|id| digester.digest(id)).collect::<Vec<_>>();
        for (with_chain, ids) in
            [(true, &["ar-1", "e-0", "s-1", "e-1", "e-2"][..]), (false, &["ar-1", "e-0"])]
        {
            let all = AnchorSet::of(&claims, true, |id| digester.digest(id));
            let own: Vec<_> = all.anchors(with_chain).iter().map(|own| own.digest()).collect();
            assert_eq!(own, digests(ids));
        }
    }

    #[test]
    fn requests_of_one_zone_share_its_text() {
        let [one, same, other, back] = ["z-1", "z-1", "z-2", "z-1"].map(shared);
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!([&*other, &*back], ["z-2", "z-1"]);
    }
}
