//! Look-ups in the index: the filter first, then one shard of the table.

use super::{Index, read};
use crate::clock::UnixSeconds;
use crate::digest::{Digest, Digester};
use crate::filter::Filter;
use crate::suspensions::SuspensionStatus;

impl Index {
    /// Hands a view to `look`, for a few look-ups. Returns `None` if nothing at all is revoked.
    #[inline]
    pub(crate) fn view<R>(&self, look: impl Fn(&View<'_>) -> R) -> Option<R> {
        (self.len() > 0).then(|| self.filter.with(|filter| look(&View { index: self, filter })))
    }
}

/// The index as one decision sees it.
#[derive(Debug)]
pub(crate) struct View<'i> {
    index: &'i Index,
    filter: &'i Filter,
}

/// The mark of an anchor in the index, which counts against a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Revoked,
    Suspended,
    /// Refused for tokens with `iat` at or before this second.
    DeniedUpTo(UnixSeconds),
}

impl View<'_> {
    /// Returns the digester of the ids that are looked up.
    #[inline]
    pub(crate) fn digester(&self) -> &Digester {
        self.index.digester()
    }

    /// False means that the index holds nothing against the anchor of this digest's fast part;
    /// true, that it may.
    #[inline]
    pub(crate) fn may_hold(&self, fast: u64) -> bool {
        self.filter.may_hold(fast)
    }

    pub(crate) fn mark(&self, id: &str) -> Option<Mark> {
        let fast = self.digester().fast(id);
        if !self.filter.may_hold(fast) {
            return None;
        }
        self.confirm(id, fast)
    }

    /// Returns the mark of an anchor by its digest.
    pub(crate) fn mark_of(&self, digest: Digest) -> Option<Mark> {
        self.filter.may_hold(digest.fast()).then(|| self.exact(digest)).flatten()
    }

    /// The filter's "maybe", made certain.
    #[cold]
    fn confirm(&self, id: &str, fast: u64) -> Option<Mark> {
        self.exact(self.digester().complete(id, fast))
    }

    fn exact(&self, digest: Digest) -> Option<Mark> {
        if self.index.shard(digest).is_some_and(|shard| read(shard).contains(digest)) {
            return Some(Mark::Revoked);
        }
        match read(&self.index.sessions).get(&digest)?.suspensions.status() {
            SuspensionStatus::Suspended => Some(Mark::Suspended),
            SuspensionStatus::DeniedUpTo(second) => Some(Mark::DeniedUpTo(second)),
            SuspensionStatus::Clear => None,
        }
    }
}
