//! Reads entries for runners of effects and for operators' programs, as a follower reads them.
//!
//! One message can be larger than a server, a proxy or a slow line lets through at once. So a read
//! asks for fewer entries after each answer that did not arrive whole. Each byte renews the
//! deadline, and a message of more than 4 MiB is not kept.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_event::StreamId;
use redis::Pipeline;
use tokio::time::{Instant, timeout};

use crate::entry::{Entry, Head};
use crate::fields::Fields;
use crate::limits::ANSWER_DEADLINE;
use crate::log_error::LogError;
use crate::redis_log::batch::Batch;
use crate::topology::Topology;
use crate::wire::{Answers, Certificates, Keep, Received, Wire};

/// The longest that one answer may take, however steadily it arrives.
const LONGEST: Duration = Duration::from_secs(60);

/// Connections that entries are read on.
#[derive(Debug)]
pub struct EntryReader {
    topology: Topology,
    certificates: Certificates,
    /// By key in a cluster; elsewhere one, for every key.
    open: HashMap<String, Wire>,
    batch: Batch,
    /// How many bytes of the last answer arrived, if it did not arrive whole.
    stopped: u64,
}

/// Some entries of a stream, in the order of their ids.
#[derive(Debug)]
pub struct Page {
    /// Their ids and fields.
    pub entries: Vec<(StreamId, Fields)>,
    /// None stands behind them, as far as was asked.
    pub is_last: bool,
}

impl EntryReader {
    pub(crate) fn new(topology: Topology, certificates: Certificates, most: usize) -> Self {
        let (open, batch) = (HashMap::new(), Batch::up_to(most));
        Self { topology, certificates, open, batch, stopped: 0 }
    }

    /// How many entries the next read asks for.
    pub fn count(&self) -> usize {
        self.batch.count()
    }

    /// Opens the connection for this key, if it is not open.
    pub async fn open(&mut self, key: &str) -> Result<(), LogError> {
        self.connection(key).await.map(|_| ())
    }

    /// Closes every connection: after a failure.
    pub fn close(&mut self) {
        self.open.clear();
    }

    /// Sends a read of one stream for [`EntryReader::count`] entries, which may wait so long for
    /// the first.
    ///
    /// After an error the server may have sent entries all the same; the next read asks for fewer.
    pub async fn read(
        &mut self,
        key: &str,
        read: &Pipeline,
        wait: Duration,
    ) -> Result<Vec<Entry>, LogError> {
        let received = self.receive(key, read, wait, Keep::Entries).await?;
        Answers::new(&received.bytes).entries()
    }

    /// At most `most` entries of the stream at `key` after `after`, up to `last`. None where
    /// nothing is there.
    pub async fn range(
        &mut self,
        key: &str,
        after: StreamId,
        last: StreamId,
        most: usize,
    ) -> Result<Page, LogError> {
        let mut was_closed = false;
        loop {
            // Without a connection, asking for less does not help.
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
                // A server that is silent is not so because of what it was asked.
                Err(LogError::Deadline(deadline)) if self.stopped == 0 => {
                    return Err(LogError::Deadline(deadline));
                }
                // It may have been closed for being idle.
                Err(error) if error.is_closed() && !was_closed => was_closed = true,
                Err(error) if count == 1 => {
                    let question = format!("XRANGE {key} ({after} {last} COUNT {count}");
                    return Err(self.cut(error, question));
                }
                Err(_) => {}
            }
        }
    }

    /// The answer to `XINFO STREAM`, and how many entries the stream has.
    pub async fn head(&mut self, key: &str) -> Result<(Head, u64), LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("STREAM").arg(key);
        self.open(key).await?;
        let mut received = self.receive(key, &commands, Duration::ZERO, Keep::Counters).await;
        // It may have been closed for being idle.
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
        let begun = Instant::now();
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
                self.batch.arrived(size, size, begun.elapsed().saturating_sub(wait));
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

    /// Adds to an error which answer it cut.
    fn cut(&self, error: LogError, question: String) -> LogError {
        LogError::Cut { error: Box::new(error), question, bytes: self.stopped }
    }
}
