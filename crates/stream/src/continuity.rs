//! Compares the server that answers now with the previous one, to detect lost messages.
//!
//! A restart or a failover can lose messages that the server acknowledged. Counting detects that
//! only for messages that were read here. The run id and the replication id show that a restart or
//! a failover happened. The offset at which a replica was promoted can prove that nothing was lost.

use caracal_revocation_state::{LossSuspicion, Moment};

use crate::identity::Identity;
use crate::server_clock::ServerClock;

/// The result of comparing the server that answers with the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// The server has every message that was proven.
    Sound,
    /// The server was promoted and has every message that was proven. It may lack messages that the
    /// previous primary acknowledged later.
    TookOver,
    /// The stream's slot migrated here from a server that is still the same primary. Nothing was
    /// lost.
    Moved,
    /// The server may have lost messages that the previous server acknowledged.
    LossSuspected(LossSuspicion),
    /// The server is a replica that still lacks proven messages. Nothing is lost.
    Behind,
}

/// The last identity of the server, and the proven part of its history: a replication id and an
/// offset.
#[derive(Debug, Default)]
pub(crate) struct ContinuityTracker {
    last: Option<Identity>,
    proven: Option<(Box<str>, i64)>,
}

impl ContinuityTracker {
    /// Compares this identity with the last one, and stores it.
    pub(crate) fn observe(&mut self, now: &Identity) -> Continuity {
        let continuity = self.compare(now);
        if continuity != Continuity::Behind {
            self.last = Some(now.clone());
        }
        if matches!(
            continuity,
            Continuity::LossSuspected(_) | Continuity::TookOver | Continuity::Moved
        ) {
            self.proven = None;
        }
        continuity
    }

    /// Returns `true` if another process, or another replication history, answers than before.
    pub(crate) fn is_another(&self, now: &Identity) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| (&last.run_id, &last.history) != (&now.run_id, &now.history))
    }

    /// Records that everything up to this offset of this history is proven.
    pub(crate) fn prove(&mut self, history: &str, offset: i64) {
        // The server may have begun another history since.
        if self.last.as_ref().is_some_and(|last| *last.history == *history) {
            self.proven = Some((history.into(), offset));
        }
    }

    fn compare(&self, now: &Identity) -> Continuity {
        let Some(last) = &self.last else { return Continuity::Sound };
        let is_same_process = last.run_id == now.run_id;
        if !is_same_process && now.moved_from.as_ref() == Some(&last.run_id) {
            return Continuity::Moved;
        }
        let (history, offset) = match &self.proven {
            Some((history, offset)) => (history, *offset),
            None => (&last.history, last.offset),
        };
        if now.history == *history {
            return match (now.offset >= offset, now.is_replica) {
                (true, _) => Continuity::Sound,
                (false, true) => Continuity::Behind,
                // The primary's own history became shorter.
                (false, false) => Continuity::LossSuspected(LossSuspicion::Restarted),
            };
        }
        match &now.earlier {
            Some((earlier, end)) if earlier == history && *end > offset => Continuity::TookOver,
            Some((earlier, _)) if earlier == history => {
                Continuity::LossSuspected(LossSuspicion::Failover)
            }
            // A primary that has had no replica for a long time begins a new history by itself.
            None if is_same_process && !last.is_replica && !now.is_replica => Continuity::Sound,
            _ if is_same_process => Continuity::LossSuspected(LossSuspicion::Resynced),
            _ => Continuity::LossSuspected(LossSuspicion::Restarted),
        }
    }
}

/// A server that is read, with its clock and its continuity. It serves all streams, or in a cluster
/// one.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) clock: ServerClock,
    tracker: ContinuityTracker,
    /// An identity whose offset is not proven yet, and the time at which it was requested.
    unproven: Option<(Moment, Identity)>,
}

impl Source {
    /// Records the identity in the answer to a read that was sent at `sent`. Returns `true` if
    /// another server answers than before, and the comparison with that.
    pub(crate) fn observe_identity(
        &mut self,
        identity: &Identity,
        sent: Moment,
    ) -> (bool, Continuity) {
        let is_another = self.tracker.is_another(identity);
        let continuity = self.tracker.observe(identity);
        match continuity {
            Continuity::Behind => return (is_another, continuity),
            Continuity::LossSuspected(_) | Continuity::TookOver | Continuity::Moved => {
                self.unproven = None
            }
            Continuity::Sound => {}
        }
        // An earlier identity stays until it is proven. If newer ones replaced it, none might ever
        // be proven.
        self.unproven.get_or_insert_with(|| (sent, identity.clone()));
        (is_another, continuity)
    }

    /// Records that everything up to this moment is proven.
    pub(crate) fn prove(&mut self, up_to: Moment) {
        let is_proven = |(sent, _): &mut (Moment, Identity)| sent.monotonic <= up_to.monotonic;
        if let Some((_, identity)) = self.unproven.take_if(is_proven) {
            self.tracker.prove(&identity.history, identity.offset);
        }
    }
}

#[cfg(test)]
mod tests;
