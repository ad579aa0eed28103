//! Lookups in the index: the filter first, then one shard of the table.

use super::{Index, read};
use crate::clock::UnixSeconds;
use crate::digest::{Digest, Digester};
use crate::filter::Filter;
use crate::suspensions::SuspensionStatus;

impl Index {
    /// Calls `query` with a view for a few lookups. Returns `None` if the index is empty.
    #[inline]
    pub(crate) fn view<R>(&self, query: impl Fn(&View<'_>) -> R) -> Option<R> {
        (self.len() > 0).then(|| self.filter.with(|filter| query(&View { index: self, filter })))
    }
}

/// The index and its filter, as one decision reads them.
#[derive(Debug)]
pub(crate) struct View<'i> {
    index: &'i Index,
    filter: &'i Filter,
}

/// The state of an anchor in the index, which counts against a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Revoked,
    Suspended,
    /// Denies tokens with `iat` at or before this second.
    DeniedUpTo(UnixSeconds),
}

impl View<'_> {
    /// Returns the digester for the ids that are looked up.
    #[inline]
    pub(crate) fn digester(&self) -> &Digester {
        self.index.digester()
    }

    /// Returns `false` if the index certainly has no entry for the anchor with this fast hash;
    /// `true` if it may have one.
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

    /// Returns the mark of the anchor with this digest.
    pub(crate) fn mark_of(&self, digest: Digest) -> Option<Mark> {
        self.filter.may_hold(digest.fast()).then(|| self.exact(digest)).flatten()
    }

    /// Looks up the exact table after the filter answered "maybe".
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
