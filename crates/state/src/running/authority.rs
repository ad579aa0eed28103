//! What a running request stands on, small enough to keep for a hundred thousand of them.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::digest::Digest;
use crate::{AnchorKind, Claims};

/// The anchors of a token as digests, and what else a verdict asks for.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) anchors: SmallVec<[Anchor; 4]>,
    pub(crate) zone: Option<Arc<str>>,
    pub(crate) epoch: u64,
    pub(crate) iat: Option<i64>,
    pub(crate) is_in_tables: bool,
    pub(crate) has_earlier_hops: bool,
    /// The second, since the Unix epoch, in which it ends.
    pub(crate) deadline: Option<u64>,
}

/// An anchor's digest, with its kind in the bits that a digest spares.
#[derive(Clone, Copy, Debug)]
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

    pub(crate) const fn digest(self) -> Digest {
        Digest::of_slot(self.0)
    }

    pub(crate) fn kind(self) -> AnchorKind {
        KINDS.get(self.0 as usize & 0xff).copied().unwrap_or(AnchorKind::Sid)
    }
}

impl Authority {
    pub(crate) fn of<S: AsRef<str>>(
        claims: &Claims<S>,
        with_chain: bool,
        digest: impl Fn(&str) -> Digest,
    ) -> Self {
        let mut anchors = SmallVec::new();
        // Not a `for` loop: over a chain of iterators that would ask at each step which is next.
        claims.anchors(with_chain).for_each(|(kind, id)| {
            anchors.push(Anchor::new(digest(id), kind));
        });
        Self {
            anchors,
            zone: claims.zone_id.as_ref().map(|zone| shared(zone.as_ref())),
            epoch: claims.delegation_graph_epoch,
            iat: claims.iat,
            is_in_tables: claims.is_in_tables(),
            has_earlier_hops: claims.has_earlier_hops(),
            deadline: None,
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
    fn requests_of_the_same_zone_share_its_text_and_others_have_their_own() {
        let [one, same, other, back] = ["z-1", "z-1", "z-2", "z-1"].map(shared);
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!([&*other, &*back], ["z-2", "z-1"]);
    }
}
