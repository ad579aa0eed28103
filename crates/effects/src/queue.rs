//! The queue of a runner: entries of a stream that are delivered to one consumer of a group.

use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::{Entry, LogError};

use crate::error::EffectError;

pub(crate) trait Queue: Send {
    /// Returns the stream that is read.
    fn stream(&self) -> Stream;

    /// Returns the name of the group that reads it.
    fn group(&self) -> &str;

    /// Joins the group, and creates it if it does not exist.
    fn join(&mut self, with_others: bool) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Connects again after an error.
    fn reopen(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Reads entries that were not yet delivered to any consumer. Waits up to `wait` for the first.
    fn read(
        &mut self,
        count: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Entry>, LogError>> + Send;

    /// Reads entries that are pending for this consumer and that it has not received: it claimed
    /// them, or a reply was lost. Returns one batch, in the order of ids.
    fn missed(&mut self) -> impl Future<Output = Result<Missed, LogError>> + Send;

    /// Takes over entries of consumers that have been idle for too long. [`Queue::missed`] then
    /// returns them.
    fn claim(&mut self, count: usize) -> impl Future<Output = Result<Claimed, LogError>> + Send;

    /// Renews the claim on entries that are still being handled.
    fn renew_claims(
        &mut self,
        held: &[StreamId],
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Acknowledges entries, and records their effects if deduplication is on.
    fn acknowledge(&mut self, done: &[Done]) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Returns `true` if an entry that is not acknowledged is delivered again.
    fn delivers_again(&self) -> bool;

    /// Returns `true` if deduplication is on.
    fn dedups(&self) -> bool;

    /// Returns `true` if this effect is recorded as done.
    fn was_done(&mut self, outbox_id: &str) -> impl Future<Output = Result<bool, LogError>> + Send;

    /// Counts a failed attempt, and returns the number of failed attempts in the whole fleet.
    fn count_failure(&mut self, id: StreamId)
    -> impl Future<Output = Result<u32, LogError>> + Send;

    /// Writes the dead letter of a message that cannot be used, unless a follower or another runner
    /// already did. Returns `true` if this call wrote it.
    fn reject(
        &mut self,
        id: StreamId,
        letter: &[(String, String)],
    ) -> impl Future<Output = Result<bool, LogError>> + Send;

    /// Writes the dead letter of an effect that was given up.
    fn write_dead_letter(
        &mut self,
        letter: &[(String, String)],
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Leaves the group if this consumer has no pending entries.
    fn leave(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// The result of [`Queue::claim`].
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// The number of entries that this consumer now owns.
    pub(crate) count: usize,
    /// Ids that are no longer in the stream. The server has removed them from the group.
    pub(crate) trimmed: Vec<StreamId>,
}

/// The result of [`Queue::missed`].
#[derive(Debug, Default)]
pub(crate) struct Missed {
    pub(crate) entries: Vec<Entry>,
    /// Ids that are no longer in the stream and are still pending here.
    pub(crate) trimmed: Vec<StreamId>,
    /// An entry that cannot be read even by itself, and the error. It stays pending.
    pub(crate) unreadable: Option<(StreamId, LogError)>,
    /// `true` if there may be more missed entries.
    pub(crate) has_more: bool,
}

/// An entry that is handled and can be acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) id: StreamId,
    /// The id under which the effect is recorded as done, so that it does not run again.
    pub(crate) outbox_id: Option<Box<str>>,
    /// `true` if earlier attempts failed and were counted.
    pub(crate) failed: bool,
}

impl Done {
    /// Creates the record of an entry for which no handler ran.
    pub(crate) const fn without_effect(id: StreamId) -> Self {
        Self { id, outbox_id: None, failed: false }
    }
}
