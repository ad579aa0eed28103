//! The index as a value that another process can take over.

use super::{Index, Session, lock, read};
use crate::clock::Minute;
use crate::digest::{Digest, DigestKeys, Digester, SPARE_BITS};
use crate::suspensions::Suspensions;

const MINUTES: u128 = (1 << SPARE_BITS) - 1;

impl Index {
    pub(crate) fn keys(&self) -> DigestKeys {
        self.digester().keys()
    }

    /// Makes digests with these keys; false if there are others already.
    pub(crate) fn adopt(&self, keys: DigestKeys) -> bool {
        let digester = self.digester.get_or_init(|| Digester::new(keys));
        digester.keys() == keys && self.len() == 0
    }

    /// Every digest with the minutes that are left to it at the minute `now`: anchors that are
    /// revoked, and sessions.
    pub(crate) fn export(&self, now: Minute) -> (Vec<u128>, Vec<(u128, Suspensions)>) {
        let left = |slot: u128| {
            let left = (slot & MINUTES).saturating_sub(u128::from(now.get()));
            slot >> SPARE_BITS << SPARE_BITS | left
        };
        let mut revoked = Vec::with_capacity(self.len());
        for shard in &self.shards {
            revoked.extend(read(shard).slots().map(left));
        }
        let sessions = read(&self.sessions);
        let session = |(digest, session): (&Digest, &Session)| {
            let left = u128::from(session.expires.since(now)).min(MINUTES);
            (digest.bits() | left, session.suspensions.clone())
        };
        (revoked, sessions.iter().map(session).collect())
    }

    /// Adds what was exported, for what was left to it but no longer than `longest` minutes.
    pub(crate) fn import(
        &self,
        revoked: &[u128],
        sessions: &[(u128, Suspensions)],
        now: Minute,
        longest: u32,
    ) {
        let expires = |word: u128| {
            let left = u32::try_from(word & MINUTES).unwrap_or(u32::MAX);
            now.later_by(left.min(longest))
        };
        for word in revoked {
            self.insert(&mut lock(&self.writer), Digest::of_slot(*word), expires(*word));
        }
        for (word, suspensions) in sessions {
            self.suspend(Digest::of_slot(*word), expires(*word), |session| {
                session.join(suspensions);
            });
        }
        // A filter that was outgrown is replaced step by step, as by later writes.
        while lock(&self.writer).rebuild.is_some() {
            self.step_rebuild(&mut lock(&self.writer));
        }
    }
}
