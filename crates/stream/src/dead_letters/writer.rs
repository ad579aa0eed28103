//! Takes letters from the queue to Redis, at a bounded rate, for as long as it takes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use caracal_revocation_event::{Key, Stream};
use metrics::{Counter, counter};
use tokio::time::{Instant, sleep};

use super::dead_stream;
use super::marked::{self, Attempt};
use super::queue::{Loss, Queue, Waiting};
use crate::log::LogError;
use crate::topology::{Links, Topology};

/// Between two letters that are written: at most a hundred a second.
const PACE: Duration = Duration::from_millis(10);
/// How long a letter is retried.
const LIFETIME: Duration = Duration::from_secs(300);
/// How often it is tried whether writing is allowed after all.
const OFF_FOR: Duration = Duration::from_secs(30);

/// Writes the letters of one follower.
#[derive(Debug)]
pub(crate) struct Writer {
    links: Links,
    key: Option<Key>,
    queue: Queue,
    standing: Standing,
    /// What the log was last told of this outage.
    told: Option<String>,
    written: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is not known whether Redis lets this user write.
    Unproven,
    On,
    /// It does not, and is not asked again before this.
    Off(Instant),
}

impl Writer {
    pub(crate) fn new(topology: Topology, key: Option<Key>, queue: Queue) -> Self {
        Self {
            links: Links::new(topology),
            key,
            queue,
            standing: Standing::Unproven,
            told: None,
            written: counter!("caracal_gateway_revocation_dead_letters_total"),
        }
    }

    /// Writes until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        // Whether it may write is said at the start, not with the first letter.
        if let Err(error) = self.prove().await {
            self.failed(&error);
        }
        while let Some(waiting) = self.queue.next().await {
            match self.write(&waiting).await {
                Ok(()) => {}
                Err(loss) => loss.count(),
            }
            self.queue.done(&waiting);
        }
    }

    /// Tries until it is written, or known to be, or too old.
    async fn write(&mut self, waiting: &Waiting) -> Result<(), Loss> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(2))
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            if matches!(self.standing, Standing::Off(until) if Instant::now() < until) {
                return Err(Loss::Off);
            }
            match self.attempt(waiting).await {
                Ok(Attempt::Written) => {
                    self.recovered();
                    self.written.increment(1);
                    self.queue.written(waiting.stream, waiting.id);
                    sleep(PACE).await;
                    return Ok(());
                }
                Ok(Attempt::Known(mark)) => {
                    self.recovered();
                    self.queue.written(waiting.stream, mark);
                    return Ok(());
                }
                Ok(Attempt::LostRace) => continue,
                Err(error) => self.failed(&error),
            }
            let pause = pauses.next().unwrap_or(Duration::from_secs(2));
            if waiting.since.elapsed() + pause > LIFETIME {
                return Err(Loss::Expired);
            }
            if !matches!(self.standing, Standing::Off(_)) {
                sleep(pause).await;
            }
        }
    }

    async fn attempt(&mut self, waiting: &Waiting) -> Result<Attempt, LogError> {
        self.prove().await?;
        let letter = waiting.letter.clone().into_fields(waiting.stream, self.key.as_ref());
        let connection = self.links.to(&dead_stream(waiting.stream)).await?;
        marked::write(connection, waiting.stream, waiting.id, &letter).await
    }

    /// Makes sure of a connection on which it may write.
    async fn prove(&mut self) -> Result<(), LogError> {
        if self.standing != Standing::On {
            for stream in Stream::ALL {
                let connection = self.links.to(&dead_stream(stream)).await?;
                if let Some(mark) = marked::probe(connection, stream).await? {
                    self.queue.written(stream, mark);
                }
            }
            self.standing = Standing::On;
        }
        Ok(())
    }

    fn failed(&mut self, error: &LogError) {
        self.links.close();
        // Another server may have other rights.
        if self.standing == Standing::On {
            self.standing = Standing::Unproven;
        }
        let words = error.to_string();
        let is_news = self.told.as_ref() != Some(&words);
        if error.forbids_writing() {
            self.standing = Standing::Off(Instant::now() + OFF_FOR);
            if is_news {
                tracing::warn!(
                    error = words,
                    "dead letters are off: unusable messages are counted and not kept; give the \
                     user +watch +unwatch +get +set +xadd +multi +exec +discard on \
                     {{caracal.*.dead}}:mark and caracal.*.dead, on a primary"
                );
            }
        } else if is_news {
            tracing::warn!(error = words, "dead letters cannot be written; trying again");
        }
        self.told = Some(words);
    }

    fn recovered(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("dead letters are being written again");
        }
    }
}
