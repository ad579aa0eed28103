//! A queue inside this process, with a single consumer.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::InProcess;
use caracal_revocation_stream::internal::{Entry, LogError, read_in_process};

use crate::error::EffectError;
use crate::queue::{Claimed, Done, Missed, Queue};

pub(crate) struct InProcessQueue {
    pub(crate) streams: InProcess,
    pub(crate) stream: Stream,
    pub(crate) cursor: StreamId,
    pub(crate) failures: HashMap<StreamId, u32>,
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
        let entries = read_in_process(&self.streams, self.stream, self.cursor, wait).await?;
        let entries: Vec<_> = entries.into_iter().take(count).collect();
        if let Some(last) = entries.last() {
            self.cursor = last.id;
        }
        Ok(entries)
    }

    async fn missed(&mut self) -> Result<Missed, LogError> {
        Ok(Missed::default())
    }

    async fn claim(&mut self, _: usize) -> Result<Claimed, LogError> {
        Ok(Claimed::default())
    }

    async fn renew_claims(&mut self, _: &[StreamId]) -> Result<(), LogError> {
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

    async fn write_dead_letter(&mut self, _: &[(String, String)]) -> Result<(), LogError> {
        tracing::error!(stream = %self.stream, "a message was given up: its effect is missing");
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}
