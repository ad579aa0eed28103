//! The loop of a runner: claim, read, handle, acknowledge.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, MessageRejection, StreamId};
use caracal_revocation_stream::DeadLetter;
use caracal_revocation_stream::internal::dead_letters::bounded;
use caracal_revocation_stream::internal::{Backoff, Entry, LogError};
use tokio::time::{Instant, sleep};

use crate::delivery::{Delivery, EffectFailure};
use crate::error::EffectError;
use crate::queue::{Claimed, Done, Missed, Queue};
use crate::report::Report;

/// The number of failed attempts after which a message becomes a dead letter (contract,
/// "Failures").
const ATTEMPTS: u32 = 5;
/// The largest number of entries that one read or one claim returns.
pub(crate) const BATCH: usize = 64;
/// The largest number of messages held in memory. At this limit the runner reads nothing new.
const MAX_HELD: usize = 512;
const MAX_HELD_BYTES: usize = 32 << 20;
/// The longest wait of one read, and so roughly the delay of a shutdown.
const WAIT: Duration = Duration::from_millis(500);
/// The longest time that a shutdown waits for handlers.
const STOP_GRACE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after a failed read.
const LONGEST_READ_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Worker<Q, H> {
    queue: Q,
    keys: KeyRing,
    /// `true` once a message was signed with an accepted key, or if no signature is required.
    key_is_proven: bool,
    /// `true` once the log has reported that no message was signed with an accepted key.
    has_logged_key_error: bool,
    handler: H,
    /// Messages delivered to this runner and not handled yet, in the order of handling.
    held: VecDeque<Held>,
    /// Entries that are handled and not yet acknowledged.
    done: Vec<Done>,
    /// Entries that were trimmed from the stream while pending, and whose dead letters are not
    /// written yet.
    trimmed: VecDeque<StreamId>,
    report: Report,
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
    pub(crate) fn new(queue: Q, keys: KeyRing, handler: H, claim_after: Duration) -> Self {
        Self {
            // A queue that delivers only once cannot wait until the right key is configured.
            key_is_proven: !keys.verifies() || !queue.delivers_again(),
            has_logged_key_error: false,
            queue,
            keys,
            handler,
            held: VecDeque::new(),
            done: Vec::new(),
            trimmed: VecDeque::new(),
            report: Report::new(),
            claim_after,
            next_claim: Instant::now(),
        }
    }

    pub(crate) async fn run(
        mut self,
        join_existing: bool,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), EffectError> {
        self.queue.join(join_existing).await?;
        let is_stopping = AtomicBool::new(false);
        let too_late = async {
            shutdown.await;
            is_stopping.store(true, Ordering::Relaxed);
            sleep(STOP_GRACE).await;
        };
        tokio::select! {
            biased;
            () = too_late => tracing::warn!(
                "a handler did not end in time for the shutdown: its message stays pending for \
                 another runner"
            ),
            () = self.work(&is_stopping) => {}
        }
        self.leave().await;
        Ok(())
    }

    /// Works until the runner stops, then handles what is due. Messages that wait for another
    /// attempt stay pending for other runners.
    async fn work(&mut self, is_stopping: &AtomicBool) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_READ_PAUSE);
        loop {
            // A cancelled read would leave entries pending that no runner holds, so each round
            // completes.
            match self.round().await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::error!(%error, "the consumer group cannot be read; trying again");
                    sleep(backoff.next_pause()).await;
                    // If Redis still cannot be used, the next round returns the error again.
                    let _ = self.queue.reopen().await;
                }
            }
            if is_stopping.load(Ordering::Relaxed) {
                break;
            }
        }
        // If Redis cannot be used, leaving the group returns the error again.
        let _ = self.handle_due().await;
    }

    async fn round(&mut self) -> Result<(), LogError> {
        if Instant::now() >= self.next_claim {
            self.next_claim = Instant::now() + self.claim_after / 6;
            let Claimed { count, trimmed } = self.queue.claim(BATCH).await?;
            if count + trimmed.len() >= BATCH && self.has_room() {
                // There may be more: a runner with a wrong key can leave any number pending.
                self.next_claim = Instant::now();
            }
            Report::replayed(count);
            self.take_trimmed(trimmed).await;
        }
        self.handle_due().await?;
        let next_due = self.held.iter().map(|held| held.due).min();
        let wait = next_due.map_or(WAIT, |due| WAIT.min(due.duration_since(Instant::now())));
        if self.has_room() {
            let Missed { entries, trimmed, unreadable, has_more } = self.queue.missed().await?;
            if let Some((id, error)) = unreadable {
                self.report.unreadable(self.queue.stream(), self.queue.group(), id, &error);
            }
            let trimmed: Vec<_> = trimmed.into_iter().filter(|id| !self.is_known(*id)).collect();
            self.take_trimmed(trimmed.clone()).await;
            self.done.extend(trimmed.into_iter().map(Done::without_effect));
            self.take(entries).await;
            self.handle_due().await?;
            let wait = if has_more { Duration::ZERO } else { wait };
            let entries = self.queue.read(BATCH, wait).await?;
            self.take(entries).await;
            self.handle_due().await?;
        } else {
            sleep(wait).await;
        }
        self.renew_claims().await
    }

    async fn leave(&mut self) {
        let result = async {
            self.acknowledge().await?;
            self.queue.leave().await
        };
        if let Err(error) = result.await {
            tracing::warn!(%error, "acknowledging failed: another runner may repeat the effects");
        }
    }

    /// Verifies entries, and dead-letters those that cannot be used. Until one entry has verified,
    /// the unverified ones stay pending: a wrong key is then more likely than wrong messages, and
    /// another runner may have the right key.
    async fn take(&mut self, entries: Vec<Entry>) {
        let mut unusable = Vec::new();
        for entry in entries {
            if self.is_known(entry.id) {
                continue;
            }
            // No service accepts a message of this size, whatever its signature.
            if entry.fields.too_large().is_some() {
                unusable.push((entry, MessageRejection::too_large().to_string(), true));
                continue;
            }
            let verified = self
                .keys
                .verify(&Message::new(entry.stream, &entry.fields.borrowed()))
                .map(|event| (Delivery::of(&entry, &event), event.is_recut()));
            self.key_is_proven |= verified.as_ref().err().is_none_or(MessageRejection::was_signed);
            match verified {
                Ok((delivery, recut)) => {
                    if recut {
                        let why = "re-cut: its clean parts were acted on".to_owned();
                        unusable.push((entry.clone(), why, false));
                    }
                    // A held entry must not keep the buffer of the whole reply alive.
                    let entry = Entry { fields: entry.fields.detached(), ..entry };
                    self.held.push_back(Held { delivery, entry, due: Instant::now() });
                }
                Err(_) if !self.key_is_proven => {
                    if !std::mem::replace(&mut self.has_logged_key_error, true) {
                        tracing::error!(
                            setting = "STREAMS_HMAC_KEY", stream = %entry.stream,
                            "messages arrive and none is signed with an accepted key: they stay \
                             pending; set STREAMS_HMAC_KEY (or STREAMS_HMAC_KEY_PREVIOUS) to the \
                             producers' key"
                        );
                    }
                }
                Err(rejection) => unusable.push((entry, rejection.to_string(), true)),
            }
        }
        // Messages whose dead letters cannot be written stay pending and do not block others.
        for (entry, error, is_done) in unusable {
            let letter = bounded(&entry, &error);
            let letter = letter.into_fields(entry.stream, self.keys.signing_key());
            match self.queue.reject(entry.id, &letter).await {
                Ok(is_written) => {
                    self.report.rejected(entry.stream, entry.id, &error, is_written);
                    if is_done {
                        self.done.push(Done::without_effect(entry.id));
                    }
                }
                Err(error) => {
                    self.report.unwritten(entry.stream, &error);
                    break;
                }
            }
        }
    }

    /// Reports messages that were trimmed from the stream while pending; dead-letters their ids.
    async fn take_trimmed(&mut self, mut ids: Vec<StreamId>) {
        // Messages held here are handled although they are no longer in the stream.
        ids.retain(|id| !self.is_known(*id));
        if !ids.is_empty() {
            self.report.trimmed(self.queue.stream(), self.queue.group(), &ids);
        }
        let room = MAX_HELD.saturating_sub(self.trimmed.len());
        self.trimmed.extend(ids.into_iter().take(room));
        while let Some(id) = self.trimmed.front().copied() {
            let stream = self.queue.stream();
            let letter = DeadLetter::of(id, "trimmed from the stream while it was pending", &[]);
            let letter = letter.into_fields(stream, self.keys.signing_key());
            if let Err(error) = self.queue.write_dead_letter(&letter).await {
                return self.report.unwritten(stream, &error);
            }
            Report::dead_lettered();
            self.trimmed.pop_front();
        }
    }

    fn has_room(&self) -> bool {
        let bytes: usize = self.held.iter().map(|held| held.entry.fields.size()).sum();
        self.held.len() < MAX_HELD && bytes < MAX_HELD_BYTES
    }

    fn is_known(&self, id: StreamId) -> bool {
        self.held.iter().any(|held| held.entry.id == id)
            || self.done.iter().any(|done| done.id == id)
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
            // The effect did not happen, so it is not remembered as done: a replay must run it.
            self.done.push(Done { id, outbox_id: None, failed: true });
            return Ok(());
        }
        let doublings = held.delivery.attempt.min(16).saturating_sub(1);
        held.due = Instant::now() + (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        held.delivery.attempt += 1;
        self.held.push_back(held);
        again.map(|_| ())
    }

    /// Counts a failed attempt. Returns `true` if the message was given up and dead-lettered.
    async fn failed(&mut self, entry: &Entry, failure: &EffectFailure) -> Result<bool, LogError> {
        let EffectFailure::Failed(why) = failure else { return Ok(false) };
        let is_given_up = self.queue.count_failure(entry.id).await? >= ATTEMPTS;
        if is_given_up && let Err(error) = self.write_dead_letter(entry, why).await {
            self.report.unwritten(entry.stream, &error);
            return Ok(false);
        }
        Ok(is_given_up)
    }

    /// Calls the handler. While it runs, renews the claim on every entry held here.
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
            // The handler continues while Redis is unreachable.
            let _ = self.queue.renew_claims(&ids).await;
            if self.queue.acknowledge(&self.done).await.is_ok() {
                self.done.clear();
            }
        }
    }

    async fn renew_claims(&mut self) -> Result<(), LogError> {
        let ids: Vec<StreamId> = self.held.iter().map(|held| held.entry.id).collect();
        self.queue.renew_claims(&ids).await
    }

    async fn acknowledge(&mut self) -> Result<(), LogError> {
        self.queue.acknowledge(&self.done).await?;
        self.done.clear();
        Ok(())
    }

    async fn write_dead_letter(&mut self, entry: &Entry, error: &str) -> Result<(), LogError> {
        let letter = DeadLetter::of(entry.id, error, &entry.fields.borrowed());
        let letter = letter.into_fields(entry.stream, self.keys.signing_key());
        self.queue.write_dead_letter(&letter).await?;
        Report::given_up(entry.stream, entry.id, error);
        Ok(())
    }
}
