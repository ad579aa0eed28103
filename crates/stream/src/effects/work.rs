//! The loop of a runner: claim, handle, acknowledge, read on.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, Rejection, StreamId};
use tokio::time::{Instant, sleep, timeout};

use super::queue::{Done, Queue};
use super::{Delivery, EffectError, EffectFailure};
use crate::dead_letters::DeadLetter;
use crate::log::{Entry, LogError};

/// After so many failed attempts a message is given up (contract, "Failure handling").
const ATTEMPTS: u32 = 5;
/// How many entries are read, or claimed, at once.
const BATCH: usize = 64;
/// More than this is not held: while handlers fail, nothing new is read.
const MAX_HELD: usize = 512;
/// How long one read waits, and so about how long a shutdown takes.
const WAIT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Worker<Q, H> {
    queue: Q,
    keys: KeyRing,
    /// A message was signed with an accepted key, or none is needed.
    key_is_proven: bool,
    /// The log was told that it is not.
    told_of_key: bool,
    handler: H,
    /// Delivered to this runner and not done, in the order in which they come up.
    held: VecDeque<Held>,
    /// Done and not acknowledged.
    done: Vec<Done>,
    claim_after: Duration,
    next_claim: Instant,
}

struct Held {
    delivery: Delivery,
    entry: Entry,
    due: Instant,
}

impl<Q, H, F> Worker<Q, H>
where
    Q: Queue,
    H: Fn(Delivery) -> F + Send + Sync,
    F: Future<Output = Result<(), EffectFailure>> + Send,
{
    pub(super) fn new(queue: Q, keys: KeyRing, handler: H, claim_after: Duration) -> Self {
        Self {
            // What is not delivered again cannot wait for a right key.
            key_is_proven: !keys.verifies() || !queue.delivers_again(),
            told_of_key: false,
            queue,
            keys,
            handler,
            held: VecDeque::new(),
            done: Vec::new(),
            claim_after,
            next_claim: Instant::now(),
        }
    }

    pub(super) async fn run(
        mut self,
        join_existing: bool,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), EffectError> {
        self.queue.join(join_existing).await?;
        let mut shutdown = pin!(shutdown);
        let mut pause = FIRST_PAUSE;
        loop {
            // A read that is cut short would leave entries delivered to nobody, so a round is
            // finished first.
            match self.round().await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::error!(%error, "the consumer group cannot be read; trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                    // An error here comes up again in the next round.
                    let _ = self.queue.reopen().await;
                }
            }
            if timeout(Duration::ZERO, &mut shutdown).await.is_ok() {
                break;
            }
        }
        self.finish().await;
        Ok(())
    }

    async fn round(&mut self) -> Result<(), LogError> {
        if Instant::now() >= self.next_claim {
            self.next_claim = Instant::now() + self.claim_after / 6;
            let claimed = self.queue.claim(BATCH).await?;
            if claimed.len() == BATCH && self.held.len() < MAX_HELD {
                // There are more: a runner with a wrong key may have left any number.
                self.next_claim = Instant::now();
            }
            metrics::counter!("caracal_gateway_revocation_pending_replayed_total")
                .increment(claimed.len() as u64);
            self.take(claimed).await?;
        }
        self.handle_due().await?;
        let next_due = self.held.iter().map(|held| held.due).min();
        let wait = next_due.map_or(WAIT, |due| WAIT.min(due.duration_since(Instant::now())));
        if self.held.len() < MAX_HELD {
            let entries = self.queue.read(BATCH, wait).await?;
            self.take(entries).await?;
            self.handle_due().await?;
        } else {
            sleep(wait).await;
        }
        self.keep().await
    }

    /// What was delivered is done before the runner leaves; what waits to be tried again is left
    /// to others.
    async fn finish(&mut self) {
        let result = async {
            self.handle_due().await?;
            self.acknowledge().await?;
            self.queue.leave().await
        };
        if let Err(error) = result.await {
            tracing::warn!(%error, "not all was acknowledged: another runner will do it again");
        }
    }

    /// Verifies entries; what cannot be used is dead-lettered at once. Until one has verified, those
    /// stay pending: the key is more likely wrong than the messages, which another runner may hold
    /// the key for.
    async fn take(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        for entry in entries {
            let known = self.held.iter().any(|held| held.entry.id == entry.id)
                || self.done.iter().any(|done| done.id == entry.id);
            if known {
                continue;
            }
            let verified = self
                .keys
                .verify(&Message::new(entry.stream, &entry.fields.borrowed()))
                .map(|event| (Delivery::of(&entry, &event), event.is_recut()));
            self.key_is_proven |= verified.as_ref().err().is_none_or(Rejection::was_signed);
            match verified {
                Ok((delivery, recut)) => {
                    if recut {
                        self.bury(&entry, "re-cut: its clean parts were acted on").await?;
                    }
                    self.held.push_back(Held { delivery, entry, due: Instant::now() });
                }
                Err(_) if !self.key_is_proven => {
                    if !std::mem::replace(&mut self.told_of_key, true) {
                        tracing::error!(
                            setting = "STREAMS_HMAC_KEY", stream = %entry.stream,
                            "messages arrive and none is signed with an accepted key: they stay \
                             pending; set STREAMS_HMAC_KEY (or STREAMS_HMAC_KEY_PREVIOUS) to the \
                             producers' key"
                        );
                    }
                }
                Err(rejection) => {
                    self.bury(&entry, &rejection.to_string()).await?;
                    self.done.push(Done { id: entry.id, outbox_id: None, failed: false });
                }
            }
        }
        Ok(())
    }

    async fn handle_due(&mut self) -> Result<(), LogError> {
        loop {
            let now = Instant::now();
            let Some(position) = self.held.iter().position(|held| held.due <= now) else { break };
            let Some(held) = self.held.remove(position) else { break };
            self.handle(held).await?;
        }
        self.acknowledge().await
    }

    async fn handle(&mut self, mut held: Held) -> Result<(), LogError> {
        let id = held.entry.id;
        let failed = held.delivery.attempt > 1;
        let again = match self.outcome(&held).await {
            Ok(None) => {
                let outbox_id = held.delivery.outbox_id().map(Into::into);
                self.done.push(Done { id, outbox_id, failed });
                return Ok(());
            }
            Ok(Some(failure)) => {
                tracing::warn!(%id, attempt = held.delivery.attempt, %failure, "an effect failed");
                self.failed(&held.entry, &failure).await
            }
            Err(error) => Err(error),
        };
        if let Ok(true) = again {
            // The effect was not brought about: if the letter is replayed, it is to be.
            self.done.push(Done { id, outbox_id: None, failed: true });
            return Ok(());
        }
        let doublings = held.delivery.attempt.min(16).saturating_sub(1);
        held.due = Instant::now() + (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        held.delivery.attempt += 1;
        self.held.push_back(held);
        again.map(|_| ())
    }

    /// Whether the message is given up after this, and dead-lettered.
    async fn failed(&mut self, entry: &Entry, failure: &EffectFailure) -> Result<bool, LogError> {
        let EffectFailure::Failed(why) = failure else { return Ok(false) };
        let is_given_up = self.queue.count_failure(entry.id).await? >= ATTEMPTS;
        if is_given_up {
            self.bury(entry, why).await?;
        }
        Ok(is_given_up)
    }

    /// Calls the handler, and meanwhile says that what is held here is being worked on.
    async fn outcome(&mut self, held: &Held) -> Result<Option<EffectFailure>, LogError> {
        if let Some(outbox_id) = held.delivery.outbox_id().filter(|_| self.queue.dedups()) {
            let mut done = self.done.iter().map(|done| done.outbox_id.as_deref());
            if done.any(|done| done == Some(outbox_id)) || self.queue.was_done(outbox_id).await? {
                return Ok(None);
            }
        }
        let mut handling = pin!((self.handler)(held.delivery.clone()));
        loop {
            tokio::select! {
                biased;
                outcome = &mut handling => return Ok(outcome.err()),
                () = sleep(self.claim_after / 3) => {}
            }
            let mut ids = vec![held.entry.id];
            ids.extend(self.held.iter().map(|held| held.entry.id));
            // A handler is not given up because Redis is away.
            let _ = self.queue.keep(&ids).await;
            if self.queue.acknowledge(&self.done).await.is_ok() {
                self.done.clear();
            }
        }
    }

    async fn keep(&mut self) -> Result<(), LogError> {
        let ids: Vec<StreamId> = self.held.iter().map(|held| held.entry.id).collect();
        self.queue.keep(&ids).await
    }

    async fn acknowledge(&mut self) -> Result<(), LogError> {
        self.queue.acknowledge(&self.done).await?;
        self.done.clear();
        Ok(())
    }

    async fn bury(&mut self, entry: &Entry, error: &str) -> Result<(), LogError> {
        tracing::error!(stream = %entry.stream, id = %entry.id, error, "dead-lettered");
        metrics::counter!("caracal_gateway_revocation_dead_letters_total").increment(1);
        let letter = DeadLetter::of(entry.id, error, &entry.fields.borrowed())
            .into_fields(entry.stream, self.keys.signing_key());
        self.queue.bury(&letter).await
    }
}
