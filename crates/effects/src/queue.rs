//! The queue as a runner sees it: entries delivered to one consumer of a group.

use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::{Entry, LogError};

use crate::error::EffectError;

pub(crate) trait Queue: Send {
    /// The stream that is read.
    fn stream(&self) -> Stream;

    /// The group that reads it.
    fn group(&self) -> &str;

    /// Joins the group, making it if need be.
    fn join(&mut self, with_others: bool) -> impl Future<Output = Result<(), EffectError>> + Send;

    /// Connects again, after an error.
    fn reopen(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Entries that nobody was given yet; waits so long for the first.
    fn read(
        &mut self,
        count: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Entry>, LogError>> + Send;

    /// Entries that were delivered to this consumer and did not arrive: it claimed them, or the
    /// answer was lost. Some at a time, in the order of their ids.
    fn missed(&mut self) -> impl Future<Output = Result<Missed, LogError>> + Send;

    /// Takes over entries of consumers that have given no sign of life for too long. They arrive
    /// with [`Queue::missed`].
    fn claim(&mut self, count: usize) -> impl Future<Output = Result<Claimed, LogError>> + Send;

    /// Says that these are still being worked on.
    fn keep(&mut self, held: &[StreamId]) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Acknowledges entries, and remembers their effects where that is asked for.
    fn acknowledge(&mut self, done: &[Done]) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Returns `true` if an entry that is not acknowledged is delivered again.
    fn delivers_again(&self) -> bool;

    /// Returns `true` if effects are remembered.
    fn dedups(&self) -> bool;

    /// Returns `true` if this effect was brought about before.
    fn was_done(&mut self, outbox_id: &str) -> impl Future<Output = Result<bool, LogError>> + Send;

    /// Counts a failed attempt: how many there were, in the whole fleet.
    fn count_failure(&mut self, id: StreamId)
    -> impl Future<Output = Result<u32, LogError>> + Send;

    /// Writes the dead letter of a message that cannot be used, unless a follower or another runner
    /// has; returns `true` if it was written here.
    fn reject(
        &mut self,
        id: StreamId,
        letter: &[(String, String)],
    ) -> impl Future<Output = Result<bool, LogError>> + Send;

    /// Writes the dead letter of an effect that did not happen.
    fn bury(
        &mut self,
        letter: &[(String, String)],
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Leaves the group, if nothing is pending here.
    fn leave(&mut self) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// What other consumers had left pending.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// How many entries are this consumer's now.
    pub(crate) count: usize,
    /// Entries that are not in the stream any more: the group has forgotten them.
    pub(crate) trimmed: Vec<StreamId>,
}

/// Entries that had not arrived.
#[derive(Debug, Default)]
pub(crate) struct Missed {
    pub(crate) entries: Vec<Entry>,
    /// Entries that are not in the stream any more. They are still pending here.
    pub(crate) trimmed: Vec<StreamId>,
    /// An entry that does not arrive even by itself, and why. It stays pending.
    pub(crate) unreadable: Option<(StreamId, LogError)>,
    /// There are more.
    pub(crate) has_more: bool,
}

/// An entry that needs no more work.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) id: StreamId,
    /// To be remembered, so that the effect is not brought about again.
    pub(crate) outbox_id: Option<Box<str>>,
    /// Attempts failed, and were counted.
    pub(crate) failed: bool,
}

impl Done {
    /// An entry that no handler was called for.
    pub(crate) const fn without_effect(id: StreamId) -> Self {
        Self { id, outbox_id: None, failed: false }
    }
}
