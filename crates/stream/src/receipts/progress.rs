//! The progress of the reading, shared by the follower and the writer of its receipts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use tokio::sync::Notify;

use super::receipt::{LATEST, Receipt};
use crate::entry::PerStream;

#[derive(Debug)]
pub(crate) struct Progress {
    read: Mutex<Read>,
    changed: Notify,
}

#[derive(Debug)]
struct Read {
    cursors: PerStream<StreamId>,
    applied: VecDeque<(Stream, StreamId, Duration)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let cursors = Stream::ALL.map(|_| StreamId::ZERO);
        Self {
            read: Mutex::new(Read { cursors, applied: VecDeque::with_capacity(LATEST) }),
            changed: Notify::new(),
        }
    }

    /// Records that a message was applied, and the time since it was added.
    pub(crate) fn applied(&self, stream: Stream, id: StreamId, lag: Duration) {
        let mut read = self.read();
        if read.applied.len() == LATEST {
            read.applied.pop_front();
        }
        read.applied.push_back((stream, id, lag));
    }

    /// Records that everything up to these cursors was applied.
    pub(crate) fn reached(&self, cursors: PerStream<StreamId>) {
        let mut read = self.read();
        if read.cursors != cursors {
            read.cursors = cursors;
            drop(read);
            self.changed.notify_one();
        }
    }

    /// Waits for a change since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns the receipt of this replica.
    pub(crate) fn receipt(&self, replica: &str) -> Receipt {
        let read = self.read();
        let cursors = Stream::ALL.into_iter().zip(read.cursors);
        Receipt::new(replica, cursors, read.applied.iter().copied())
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
