//! Reads entries for effect runners and operators' programs, in the way that a follower does.
//!
//! One message can be larger than a server, a proxy or a slow link can deliver at once. So a read
//! asks for fewer entries after each answer that did not arrive completely. Each byte renews the
//! deadline. Messages of more than 4 MiB are not kept.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_event::StreamId;
use redis::Pipeline;
use tokio::time::timeout;

use crate::entry::{Entry, Head};
use crate::fields::Fields;
use crate::limits::ANSWER_DEADLINE;
use crate::log_error::LogError;
use crate::redis_log::batch::Batch;
use crate::topology::Topology;
use crate::wire::{Answers, Certificates, Keep, Received, Wire};

/// The longest time for one answer, even if bytes arrive steadily.
const LONGEST: Duration = Duration::from_secs(60);

/// A reader of entries, with its connections.
#[derive(Debug)]
pub struct EntryReader {
    topology: Topology,
    certificates: Certificates,
    /// The connections by key in a cluster; otherwise one connection for every key.
    open: HashMap<String, Wire>,
    batch: Batch,
    /// The number of bytes of the last answer that arrived, if it did not arrive completely.
    stopped: u64,
}

/// Some entries of a stream, in the order of their ids.
#[derive(Debug)]
pub struct Page {
    /// Their ids and fields.
    pub entries: Vec<(StreamId, Fields)>,
    /// `true` if the requested range has no entries after these.
    pub is_last: bool,
}

impl EntryReader {
    pub(crate) fn new(topology: Topology, certificates: Certificates, most: usize) -> Self {
        let (open, batch) = (HashMap::new(), Batch::up_to(most));
        Self { topology, certificates, open, batch, stopped: 0 }
    }

    /// Returns the number of entries that the next read asks for.
    pub fn count(&self) -> usize {
        self.batch.count()
    }

    /// Opens the connection for this key, if it is not open yet.
    pub async fn open(&mut self, key: &str) -> Result<(), LogError> {
        self.connection(key).await.map(|_| ())
    }

    /// Closes every connection, after a failure.
    pub fn close(&mut self) {
        self.open.clear();
    }

    /// Sends a read of one stream that asks for [`EntryReader::count`] entries. The server may wait
    /// up to `wait` for the first entry.
    ///
    /// After an error the server may still have sent entries. The next read asks for fewer.
    pub async fn read(
        &mut self,
        key: &str,
        read: &Pipeline,
        wait: Duration,
    ) -> Result<Vec<Entry>, LogError> {
        let received = self.receive(key, read, wait, Keep::Entries).await?;
        Answers::new(&received.bytes).entries()
    }

    /// Returns at most `most` entries of the stream at `key`, after `after` and up to `last`.
    /// Returns an empty page if there are none.
    pub async fn range(
        &mut self,
        key: &str,
        after: StreamId,
        last: StreamId,
        most: usize,
    ) -> Result<Page, LogError> {
        let mut was_closed = false;
        loop {
            // If no connection can be opened, a smaller read does not help.
            self.open(key).await?;
            let count = self.count().min(most).max(1);
            let mut commands = Pipeline::new();
            let range = commands.cmd("XRANGE").arg(key).arg(format!("({after}"));
            range.arg(last.to_string()).arg("COUNT").arg(count);
            match self.receive(key, &commands, Duration::ZERO, Keep::Range).await {
                Ok(received) => {
                    let entries = Answers::new(&received.bytes).range();
                    let entries = entries.map_err(|error| error.on(key))?;
                    return Ok(Page { is_last: entries.len() < count, entries });
                }
                // A server that sends no byte at all is not slowed by the size of the read.
                Err(LogError::Deadline(deadline)) if self.stopped == 0 => {
                    return Err(LogError::Deadline(deadline));
                }
                // The server may have closed it while it was idle.
                Err(error) if error.is_closed() && !was_closed => was_closed = true,
                Err(error) if count == 1 => {
                    let question = format!("XRANGE {key} ({after} {last} COUNT {count}");
                    return Err(self.cut(error, question));
                }
                Err(_) => {}
            }
        }
    }

    /// Returns the answer to `XINFO STREAM`, and the number of entries in the stream.
    pub async fn head(&mut self, key: &str) -> Result<(Head, u64), LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("STREAM").arg(key);
        self.open(key).await?;
        let mut received = self.receive(key, &commands, Duration::ZERO, Keep::Counters).await;
        // The server may have closed it while it was idle.
        if received.as_ref().is_err_and(LogError::is_closed) && self.stopped == 0 {
            self.open(key).await?;
            received = self.receive(key, &commands, Duration::ZERO, Keep::Counters).await;
        }
        let question = || format!("XINFO STREAM {key}, which repeats its first and last entry");
        let received = received.map_err(|error| self.cut(error, question()))?;
        Answers::new(&received.bytes).head_and_length(true)
    }

    async fn receive(
        &mut self,
        key: &str,
        commands: &Pipeline,
        wait: Duration,
        keep: Keep,
    ) -> Result<Received, LogError> {
        let connection = self.connection(key).await?;
        let answered = timeout(wait + LONGEST, async {
            connection.send(commands).await?;
            connection.receive(wait + ANSWER_DEADLINE, keep).await
        });
        let answered = answered.await.unwrap_or(Err(LogError::Deadline(LONGEST)));
        let stopped = connection.stopped();
        self.stopped = stopped.map_or(0, |stopped| stopped.size);
        match &answered {
            Ok(received) if keep != Keep::Counters => {
                let size = received.sizes.last().copied().unwrap_or(0);
                self.batch.arrived(size, size, received.took.saturating_sub(wait));
            }
            Ok(_) => {}
            Err(_) => {
                self.close();
                if keep != Keep::Counters {
                    self.batch.cut();
                }
            }
        }
        answered
    }

    async fn connection(&mut self, key: &str) -> Result<&mut Wire, LogError> {
        // Outside a cluster every key is on the same server.
        let is_cluster = matches!(self.topology, Topology::Cluster(_));
        let at = if is_cluster { key } else { "" };
        if !self.open.contains_key(at) {
            self.stopped = 0;
            let opened = self.topology.open_wire(key, &self.certificates).await?;
            self.open.insert(at.to_owned(), opened);
        }
        self.open.get_mut(at).ok_or(LogError::Reply("there is no open connection"))
    }

    /// Adds to an error the question whose answer was cut.
    fn cut(&self, error: LogError, question: String) -> LogError {
        LogError::Cut { error: Box::new(error), question, bytes: self.stopped }
    }
}
