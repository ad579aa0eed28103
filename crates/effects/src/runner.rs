//! The public runner.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Stream, StreamId};
use caracal_revocation_stream::internal::{entry_reader, links, requires_streams};
use caracal_revocation_stream::{InProcess, Settings};
use uuid::Uuid;

use crate::cursors::Cursors;
use crate::delivery::{Delivery, EffectFailure};
use crate::error::EffectError;
use crate::in_process::InProcessQueue;
use crate::redis_queue::{OWN_CONSUMERS, RedisQueue};
use crate::work::{BATCH, Worker};

/// Runs a handler for each message of a stream, once in a fleet, and at least once in any failure.
///
/// The runners of one group share its messages: each message goes to one of them. If a runner dies
/// before it acknowledges a message, another runner handles it after 30 seconds. So a handler may
/// run twice for one message and must be idempotent. [`with_dedup`] skips most repeats.
///
/// Caracal provisions the groups `sts-revocation`, `sts-keys`, `opa-engine` and
/// `delegations-observer`. If other consumers already use a group, each message goes to only one of
/// them. A runner joins such a group only with [`join_existing`].
///
/// ```no_run
/// use caracal_revocation_effects::{Delivery, EffectFailure, EffectRunner};
/// use caracal_revocation_event::{Change, Stream};
/// use caracal_revocation_stream::Settings;
///
/// # async fn mark_revoked(_zone: &str, _id: &str) -> Result<(), EffectFailure> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// async fn handle(delivery: Delivery) -> Result<(), EffectFailure> {
///     let zone = delivery.zone().ok_or_else(|| EffectFailure::Failed("no zone".into()))?;
///     for change in delivery.changes() {
///         if let Change::Revoke(anchor) = change {
///             mark_revoked(zone, anchor.as_str()).await?;
///         }
///     }
///     Ok(())
/// }
/// let shutdown = std::future::pending(); // or tokio::signal::ctrl_c()
/// EffectRunner::new(&Settings::from_env()?, Stream::SessionsRevoke, "sts-revocation")
///     .join_existing()
///     .run(handle, shutdown)
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// A failed message is tried again, with longer and longer pauses. After five
/// [`Failed`](EffectFailure::Failed) attempts, counted for the whole fleet, it becomes a signed
/// dead letter in `<stream>.dead`. A message that cannot be verified becomes a dead letter at once,
/// written once by the runners and followers of a fleet. Until a first message has verified, such
/// messages stay pending, since the key may be wrong.
///
/// A message that is trimmed from the stream while pending is logged and counted
/// (`caracal_revocation_effects_lost_total`), and a dead letter keeps its id.
///
/// Failed attempts are counted under the keys that Caracal's services use, for 24 hours:
/// `stream-failure:<stream>:<id>` in the STS's groups (`sts-revocation`, `sts-keys`, `opa-engine`),
/// and `stream-failure:<stream>:<group>:<id>` in others.
///
/// The runner rejects a message of more than 4 MiB without reading it, as followers do. If a server
/// or a proxy cuts every reply that has a certain message, the runner logs its id and continues
/// with the others. That message stays pending, and the runner reads it again later.
///
/// A missing group is created at the end of the stream. A missing stream is an error, except with
/// `CARACAL_MODE=dev`. If the group disappears while the runner is alive, for example by a flush,
/// the runner creates it again at the start of the stream: messages may repeat, but none is
/// skipped.
///
/// # Rights
///
/// On the stream `+xgroup +xinfo +xreadgroup +xautoclaim +xpending +xclaim +xack`; for dead letters
/// those of [`acl::DEAD_LETTERS`](caracal_revocation_stream::acl::DEAD_LETTERS); on
/// `stream-failure:<stream>:*` `+incr +expire +del`; and with dedup on `stream-effect:<stream>:*`
/// `+set +exists`. All of them on a primary.
///
/// [`with_dedup`]: Self::with_dedup
/// [`join_existing`]: Self::join_existing
#[must_use = "a runner does nothing until it runs"]
pub struct EffectRunner {
    origin: Origin,
    keys: KeyRing,
    stream: Stream,
    group: Box<str>,
    consumer: Box<str>,
    join_existing: bool,
    dedup: bool,
    claim_after: Duration,
}

enum Origin {
    Redis(Box<Settings>),
    InProcess(InProcess),
}

impl EffectRunner {
    /// Returns a runner for this group of this stream.
    pub fn new(settings: &Settings, stream: Stream, group: &str) -> Self {
        let origin = Origin::Redis(Box::new(settings.clone()));
        Self::on(origin, settings.keys().clone(), stream, group)
    }

    /// Returns a runner for a stream inside this process. It is the only one of its group.
    pub fn in_process(streams: &InProcess, keys: KeyRing, stream: Stream, group: &str) -> Self {
        Self::on(Origin::InProcess(streams.clone()), keys, stream, group)
    }

    fn on(origin: Origin, keys: KeyRing, stream: Stream, group: &str) -> Self {
        Self {
            origin,
            keys,
            stream,
            group: group.into(),
            consumer: format!("{OWN_CONSUMERS}{}", Uuid::now_v7()).into(),
            join_existing: false,
            dedup: false,
            claim_after: Duration::from_secs(30),
        }
    }

    /// Joins the group even if other consumers use it, such as the other runners of the fleet. Each
    /// message goes to one of them.
    pub fn join_existing(mut self) -> Self {
        self.join_existing = true;
        self
    }

    /// Sets the name of this consumer. By default each runner generates a new one. No two running
    /// consumers may have the same name. Other runners always count a consumer with a given name as
    /// alive, so use the same name again after a crash.
    pub fn with_consumer(mut self, name: &str) -> Self {
        self.consumer = name.into();
        self
    }

    /// Skips messages whose `outbox_id` was handled in the last 24 hours by a runner of the group
    /// (`stream-effect:<stream>:<group>:<outbox_id>`). A repeat is still possible: the effect and
    /// its record are two separate writes.
    pub fn with_dedup(mut self) -> Self {
        self.dedup = true;
        self
    }

    /// Sets how long another consumer must be idle before its messages are claimed. The default, 30
    /// seconds, is the one of Caracal's services.
    pub fn with_claim_after(mut self, idle: Duration) -> Self {
        self.claim_after = idle;
        self
    }

    /// Runs until `shutdown` completes. Then it handles the messages already delivered to it, and
    /// leaves the group.
    ///
    /// A handler that does not end within 5 seconds of the shutdown is dropped. Its message, and
    /// those after it, stay pending for another runner.
    ///
    /// The runner keeps trying while Redis is unreachable. A panic in the handler ends the runner,
    /// and its messages go to another one.
    ///
    /// # Errors
    ///
    /// Returns an [`EffectError`] if the runner cannot start: the group is in use, the stream does
    /// not exist, or Redis cannot be reached.
    pub async fn run<H, F>(
        self,
        handler: H,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), EffectError>
    where
        H: Fn(Delivery) -> F + Send + Sync,
        F: Future<Output = Result<(), EffectFailure>> + Send,
    {
        let join_existing = self.join_existing;
        match self.origin {
            Origin::Redis(settings) => {
                let queue = RedisQueue {
                    links: links(&settings),
                    stream: self.stream,
                    group: self.group,
                    consumer: self.consumer,
                    claim_after: self.claim_after,
                    dedup: self.dedup,
                    requires_stream: requires_streams(&settings),
                    reader: entry_reader(&settings, BATCH),
                    claim_from: StreamId::ZERO,
                    cursors: Cursors::default(),
                };
                let worker = Worker::new(queue, self.keys, handler, self.claim_after);
                worker.run(join_existing, shutdown).await
            }
            Origin::InProcess(streams) => {
                let queue = InProcessQueue {
                    streams,
                    stream: self.stream,
                    cursor: StreamId::ZERO,
                    failures: HashMap::new(),
                };
                let worker = Worker::new(queue, self.keys, handler, self.claim_after);
                worker.run(join_existing, shutdown).await
            }
        }
    }
}

impl fmt::Debug for EffectRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectRunner")
            .field("stream", &self.stream)
            .field("group", &self.group)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
