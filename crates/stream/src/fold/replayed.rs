//! Detects messages that were applied already. Any writer to Redis can add them again and again,
//! and each one that is applied triggers loading keys or policies.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use caracal_revocation_event::{Event, KeySlot, Stream};

use crate::entry::Entry;

/// The largest number of messages that are remembered.
const MAX: usize = 4_096;

/// Digests of the applied messages about keys and policies, hashed with keys of this process.
#[derive(Debug, Default)]
pub(super) struct Applied {
    hashers: [RandomState; 2],
    known: HashSet<[u64; 2]>,
    /// The oldest first.
    order: VecDeque<[u64; 2]>,
}

impl Applied {
    /// Remembers a message that is about to be applied. Returns `true` if the same message was
    /// applied before, so that it invalidates nothing again.
    ///
    /// A message without its own id may be another message with the same fields, so this returns
    /// `false` for it.
    pub(super) fn has(&mut self, entry: &Entry, event: &Event<'_>) -> bool {
        let is_about_caches =
            matches!(entry.stream, Stream::KeysInvalidate | Stream::PolicyInvalidate);
        let has_own_id = event.decided().is_some() && event.key() != KeySlot::Unsigned;
        if !is_about_caches || !has_own_id {
            return false;
        }
        let message = (entry.stream, entry.fields.borrowed());
        let digest = self.hashers.each_ref().map(|hasher| hasher.hash_one(&message));
        if !self.known.insert(digest) {
            return true;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }

    /// Forgets all messages after a gap, so that messages that are read again are applied.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}
