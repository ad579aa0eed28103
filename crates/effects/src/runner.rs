//! The runner: what a service names.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Stream, StreamId};
use caracal_revocation_stream::internal::{entry_reader, links, requires_streams};
use caracal_revocation_stream::{InProcess, Settings};
use uuid::Uuid;

use crate::delivery::{Delivery, EffectFailure};
use crate::error::EffectError;
use crate::in_process::InProcessQueue;
use crate::redis_queue::{Cursors, OWN_CONSUMERS, RedisQueue};
use crate::work::{BATCH, Worker};

/// Runs a handler for each message of a stream, once in a fleet: at least once, whatever fails.
///
/// Runners of one group share its messages: each goes to one of them. What a runner does not
/// acknowledge, because it died, goes to another after 30 seconds. So a handler may be called
/// twice for one message, and what it does must bear that; [`with_dedup`] leaves out most
/// repeats.
///
/// Caracal provisions the groups `sts-revocation`, `sts-keys`, `opa-engine` and
/// `delegations-observer`. A group that other consumers already work in would share its messages
/// with them: it is joined only with [`join_existing`].
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
/// A handler that fails is called again, later and later. After five attempts that
/// [`Failed`](EffectFailure::Failed), counted for the whole fleet, the message becomes a signed
/// letter in `<stream>.dead`. So does at once a message that cannot be verified, once in a fleet
/// with its followers; until the first has verified, such messages stay pending, since the key may
/// be wrong. A message that is trimmed from the stream while it is pending is logged and counted
/// (`caracal_revocation_effects_lost_total`), and its id becomes a letter. Failures are counted
/// where Caracal's services count: in the STS's groups (`sts-revocation`, `sts-keys`,
/// `opa-engine`) under `stream-failure:<stream>:<id>`, in others under
/// `stream-failure:<stream>:<group>:<id>`, for 24 hours.
///
/// The runner rejects a message of more than 4 MiB unread, as followers do. If a server or a proxy
/// cuts every answer with a message, the runner logs its id and goes on with the others. The
/// message stays pending, and the runner reads it again later.
///
/// A group that is not there is made at the end of the stream; a stream that is not there is an
/// error, but with `CARACAL_MODE=dev`. A group that vanishes while a runner
/// is alive, with a flush, is made anew from the start of the stream: rather twice than never.
///
/// # Rights
///
/// On the stream `+xgroup +xinfo +xreadgroup +xautoclaim +xpending +xclaim +xack`, for dead letters
/// those of [`acl::DEAD_LETTERS`](caracal_revocation_stream::acl::DEAD_LETTERS), on
/// `stream-failure:<stream>:*` `+incr +expire +del`, and with dedup on `stream-effect:<stream>:*`
/// `+set +exists`; all on a primary.
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
    /// A runner over this group of this stream.
    pub fn new(settings: &Settings, stream: Stream, group: &str) -> Self {
        let origin = Origin::Redis(Box::new(settings.clone()));
        Self::on(origin, settings.keys().clone(), stream, group)
    }

    /// A runner over a stream inside this process: the only one of its group.
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

    /// Joins the group although other consumers already work in it, such as the other runners of
    /// the fleet: each message goes to one of them.
    pub fn join_existing(mut self) -> Self {
        self.join_existing = true;
        self
    }

    /// The name of this consumer; a new one for each runner by default. No two that run at once
    /// may have the same. A consumer of a name that was given counts as alive for ever, so give
    /// the same one after a crash.
    pub fn with_consumer(mut self, name: &str) -> Self {
        self.consumer = name.into();
        self
    }

    /// Leaves out messages whose `outbox_id` was handled before, by any runner of the group in
    /// the last 24 hours (`stream-effect:<stream>:<group>:<outbox_id>`). A repeat is still
    /// possible: an effect and its mark are two writes.
    pub fn with_dedup(mut self) -> Self {
        self.dedup = true;
        self
    }

    /// After how long without a sign of life another runner's messages are claimed; 30 seconds
    /// by default, as everybody else does.
    pub fn with_claim_after(mut self, idle: Duration) -> Self {
        self.claim_after = idle;
        self
    }

    /// Runs until `shutdown` completes; then finishes what was delivered to it, and leaves.
    ///
    /// A handler that does not end within 5 seconds of the shutdown is dropped: its message, and
    /// those behind it, stay pending for another runner.
    ///
    /// While Redis is away it tries again. A handler that panics ends it; what it held goes to
    /// another runner.
    ///
    /// # Errors
    ///
    /// [`EffectError`] when it cannot start: the group is in use, the stream does not exist, or
    /// Redis cannot be reached.
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
                    telling: links(&settings),
                    stream: self.stream,
                    group: self.group,
                    consumer: self.consumer,
                    claim_after: self.claim_after,
                    dedup: self.dedup,
                    requires_stream: requires_streams(&settings),
                    reading: entry_reader(&settings, BATCH),
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
