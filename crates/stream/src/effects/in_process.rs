//! A queue inside this process, with one consumer: whoever reads it first.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};

use super::queue::{Claimed, Done, Queue};
use crate::effects::EffectError;
use crate::in_process::InProcess;
use crate::log::{Entry, Log, LogError};

pub(super) struct InProcessQueue {
    pub(super) streams: InProcess,
    pub(super) stream: Stream,
    pub(super) cursor: StreamId,
    pub(super) failures: HashMap<StreamId, u32>,
}

impl Queue for InProcessQueue {
    fn stream(&self) -> Stream {
        self.stream
    }

    fn group(&self) -> &str {
        ""
    }

    async fn join(&mut self, _: bool) -> Result<(), EffectError> {
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    async fn read(&mut self, count: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
        // The cursors of the other streams stand at their end: they wake nobody up.
        let end = StreamId::new(u64::MAX, u64::MAX);
        let cursors =
            Stream::ALL.map(|stream| if stream == self.stream { self.cursor } else { end });
        let reading = self.streams.read(&cursors, Some(wait)).await?;
        let entries: Vec<_> = reading.entries.into_iter().take(count).collect();
        if let Some(last) = entries.last() {
            self.cursor = last.id;
        }
        Ok(entries)
    }

    async fn claim(&mut self, _: usize) -> Result<Claimed, LogError> {
        Ok(Claimed::default())
    }

    async fn keep(&mut self, _: &[StreamId]) -> Result<(), LogError> {
        Ok(())
    }

    async fn acknowledge(&mut self, done: &[Done]) -> Result<(), LogError> {
        for done in done {
            self.failures.remove(&done.id);
        }
        Ok(())
    }

    fn delivers_again(&self) -> bool {
        false
    }

    fn dedups(&self) -> bool {
        false
    }

    async fn was_done(&mut self, _: &str) -> Result<bool, LogError> {
        Ok(false)
    }

    async fn count_failure(&mut self, id: StreamId) -> Result<u32, LogError> {
        let count = self.failures.entry(id).or_default();
        *count += 1;
        Ok(*count)
    }

    async fn reject(&mut self, _: StreamId, _: &[(String, String)]) -> Result<bool, LogError> {
        Ok(true)
    }

    async fn bury(&mut self, _: &[(String, String)]) -> Result<(), LogError> {
        tracing::error!(stream = %self.stream, "a message was given up");
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}
