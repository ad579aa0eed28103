//! Exports the index as plain values, and imports them in another process.

use super::{Index, Session, lock, read};
use crate::clock::Minute;
use crate::digest::{Digest, DigestKeys, Digester, SPARE_BITS};
use crate::suspensions::Suspensions;

const MINUTES: u128 = (1 << SPARE_BITS) - 1;

impl Index {
    pub(crate) fn keys(&self) -> DigestKeys {
        self.digester().keys()
    }

    /// Uses these keys for all digests. Returns `false` if the index has other keys or any entry.
    pub(crate) fn adopt(&self, keys: DigestKeys) -> bool {
        let digester = self.digester.get_or_init(|| Digester::new(keys));
        digester.keys() == keys && self.len() == 0
    }

    /// Returns the digests of all revoked anchors and of all sessions, each with the minutes left
    /// until its expiry, counted from the minute `now`.
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

    /// Adds exported entries for the minutes that they have left, at most `longest`.
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
        let mut writer = lock(&self.writer);
        self.reserve(&mut writer, revoked.len().min(self.max_entries));
        for word in revoked {
            self.insert(&mut writer, Digest::of_slot(*word), expires(*word));
        }
        drop(writer);
        // The filter takes all of them from the tables.
        self.finish_rebuild();
        for (word, suspensions) in sessions {
            self.suspend(Digest::of_slot(*word), expires(*word), |session| {
                session.join(suspensions);
            });
        }
        // These inserts may have started one.
        self.finish_rebuild();
    }
}
