//! Streams inside this process, for examples and for tests of services.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use caracal_revocation_event::{Stream, StreamId};
use tokio::sync::Notify;

use crate::entry::{Counters, Entry, Head, PerStream};
use crate::fields::Fields;
use crate::limits::MAX_LEN;
use crate::log::{AsOf, Log, Reading};
use crate::log_error::LogError;

/// Streams that exist only in this process and replace Redis. Clones share the same streams.
///
/// Only a program's `main` should choose them explicitly. A follower of them does not start in a
/// published mode (`CARACAL_MODE=rc` or `stable`).
///
/// ```
/// use caracal_revocation_event::{Key, KeyRing, MessageBuilder};
/// use caracal_revocation_stream::{Follower, InProcess, Publisher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Key::generate()?;
/// let streams = InProcess::new();
/// let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
/// revocations.ready().await;
///
/// let publisher = Publisher::in_process(&streams, Some(key));
/// publisher.publish(MessageBuilder::revoke("z-1", "operator").session("ar-1")).await?;
/// # while revocations.entries() == 0 { tokio::task::yield_now().await; }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct InProcess(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    streams: Mutex<PerStream<Option<Kept>>>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    last_generated: StreamId,
    entries_added: u64,
}

impl InProcess {
    /// Creates streams that do not exist yet; the first message creates each one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self, stream: Stream, fields: Fields) -> StreamId {
        let now = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        let mut streams = self.streams();
        let mut id = StreamId::new(now, 0);
        if let Some(place) = streams.get_mut(stream.index()) {
            let kept = place.get_or_insert_default();
            if id <= kept.last_generated {
                id = StreamId::new(kept.last_generated.ms, kept.last_generated.seq + 1);
            }
            kept.last_generated = id;
            kept.entries_added += 1;
            kept.entries.push_back(Entry { stream, id, fields });
            if kept.entries.len() as u64 > MAX_LEN {
                kept.entries.pop_front();
            }
        }
        drop(streams);
        self.0.added.notify_waiters();
        id
    }

    fn streams(&self) -> MutexGuard<'_, PerStream<Option<Kept>>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heads(&self) -> PerStream<Option<Head>> {
        let head = |kept: &Option<Kept>| match kept {
            None => Head::Missing,
            Some(kept) => Head::Present(Counters {
                last_generated: kept.last_generated,
                entries_added: kept.entries_added,
                first: kept.entries.front().map_or(StreamId::ZERO, |entry| entry.id),
                max_deleted: StreamId::ZERO,
            }),
        };
        self.streams().each_ref().map(|kept| Some(head(kept)))
    }

    fn after(&self, cursors: &PerStream<StreamId>) -> Vec<Entry> {
        let streams = self.streams();
        let kept = streams.iter().zip(cursors);
        kept.filter_map(|(kept, cursor)| Some((kept.as_ref()?, cursor)))
            .flat_map(|(kept, cursor)| {
                let read = kept.entries.partition_point(|entry| entry.id <= *cursor);
                kept.entries.iter().skip(read).cloned()
            })
            .collect()
    }
}

impl Log for InProcess {
    async fn open(&mut self) -> Result<Duration, LogError> {
        Ok(unix_time())
    }

    async fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        let (server_time, heads) = (Some(unix_time()), self.heads());
        let added = self.0.added.notified();
        let mut added = std::pin::pin!(added);
        // Register before looking, so that an entry added in between is not missed.
        added.as_mut().enable();
        let mut entries = self.after(cursors);
        if let (true, Some(wait)) = (entries.is_empty(), wait) {
            // After a wake-up or the time-out, the entries that exist now are the answer.
            let _ = tokio::time::timeout(wait, added).await;
            entries = self.after(cursors);
        }
        let streams = [true; Stream::ALL.len()];
        let (as_of, freshness_error, identity, drained) = (AsOf::Sent, None, None, streams);
        Ok(Reading {
            server_time,
            as_of,
            freshness_error,
            identity,
            streams,
            heads,
            entries,
            drained,
        })
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
