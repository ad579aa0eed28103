//! Detects messages that were applied already. Any writer to Redis can add them again and again,
//! and each one that is applied triggers loading keys or policies.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use caracal_revocation_event::{Event, KeySlot, Stream};
use siphasher::sip128::SipHasher13;
use smallvec::SmallVec;

use crate::entry::Entry;

/// The largest number of messages that are remembered.
const MAX: usize = 4_096;

/// Digests of the applied messages about keys and policies, hashed with keys of this process.
pub(super) struct Applied {
    hasher: SipHasher13,
    known: HashSet<u128>,
    /// The oldest first.
    order: VecDeque<u128>,
}

impl Default for Applied {
    fn default() -> Self {
        // Keyed by the operating system's randomness.
        let random = RandomState::new();
        let hasher = SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1));
        Self { hasher, known: HashSet::new(), order: VecDeque::new() }
    }
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
        let digest = self.digest(entry);
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

    /// Returns the digest of a message: its stream and its fields, each with its length. Their text is
    /// collected first, because hashing it in pieces takes several times as long.
    fn digest(&self, entry: &Entry) -> u128 {
        let mut text = SmallVec::<[u8; 512]>::new();
        let parts = entry.fields.iter().flat_map(|(name, value)| [name, value]);
        for part in [entry.stream.name().as_bytes()].into_iter().chain(parts) {
            text.extend_from_slice(&part.len().to_le_bytes());
            text.extend_from_slice(part);
        }
        self.hasher.hash(&text).as_u128()
    }

    /// Forgets all messages after a gap, so that messages that are read again are applied.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

/// Omits the hasher, which would print its keys.
impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied").field("messages", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use caracal_revocation_event::StreamId;

    use super::*;

    #[test]
    fn debug_output_has_no_key() {
        assert_eq!(format!("{:?}", Applied::default()), "Applied { messages: 0, .. }");
    }

    #[test]
    fn digest_depends_on_the_stream_and_on_the_limits_of_each_field() {
        let digest = |applied: &Applied, stream, fields: &[(&str, &str)]| {
            let fields = fields.iter().copied().collect();
            applied.digest(&Entry { stream, id: StreamId::new(1, 0), fields })
        };
        let (applied, other) = (Applied::default(), Applied::default());
        let (keys, policies) = (Stream::KeysInvalidate, Stream::PolicyInvalidate);
        let known = digest(&applied, keys, &[("ab", "c"), ("d", "")]);
        assert_eq!(digest(&applied, keys, &[("ab", "c"), ("d", "")]), known);
        assert_ne!(digest(&applied, policies, &[("ab", "c"), ("d", "")]), known);
        assert_ne!(digest(&applied, keys, &[("a", "bc"), ("d", "")]), known);
        assert_ne!(digest(&applied, keys, &[("ab", "c"), ("", "d")]), known);
        assert_ne!(digest(&applied, keys, &[("ab", "c")]), known);
        assert_ne!(digest(&other, keys, &[("ab", "c"), ("d", "")]), known, "keys of its own");
    }
}
