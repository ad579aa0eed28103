//! A consumer group on a Redis server.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::dead_letters::{self, Attempt, Order, dead_stream};
use caracal_revocation_stream::internal::{Entry, EntryReader, Links, LogError, reply};
use redis::{Pipeline, Value};

use crate::answers::{self, Consumer};
use crate::cursors::Cursors;
use crate::error::EffectError;
use crate::queue::{Claimed, Done, Missed, Queue};

/// The prefix of generated consumer names.
pub(crate) const OWN_CONSUMERS: &str = "effects-";
/// The time for which attempt counts and records of effects are kept.
const REMEMBERED_SECONDS: u64 = 24 * 60 * 60;

pub(crate) struct RedisQueue {
    pub(crate) stream: Stream,
    pub(crate) group: Box<str>,
    pub(crate) consumer: Box<str>,
    pub(crate) claim_after: Duration,
    pub(crate) dedup: bool,
    /// `true` if a missing stream is an error: the server may be the wrong one, so none is created.
    pub(crate) requires_stream: bool,
    /// The connection for blocking reads. They would delay other commands on the same connection.
    pub(crate) reader: EntryReader,
    pub(crate) links: Links,
    pub(crate) claim_from: StreamId,
    pub(crate) cursors: Cursors,
}

impl RedisQueue {
    /// Sends commands on the stream and returns all replies, or the first error among them.
    async fn run(&mut self, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.links.run(self.stream.name(), commands).await
    }

    async fn create_group(&mut self, from: &str, with_stream: bool) -> Result<(), LogError> {
        let mut commands = Pipeline::new();
        let create = commands.cmd("XGROUP").arg("CREATE").arg(self.stream.name());
        create.arg(&*self.group).arg(from);
        if with_stream {
            create.arg("MKSTREAM");
        }
        match self.run(&commands).await {
            Err(LogError::Redis(error)) if error.starts_with("BUSYGROUP") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Creates the group again if it is gone, because of a flush or because an operator deleted it.
    /// The new group starts at the beginning of the stream: a repeated delivery is a duplicate, a
    /// skipped one is lost.
    async fn recreate_group_if_missing<T>(
        &mut self,
        error: LogError,
        nothing: T,
    ) -> Result<T, LogError> {
        match error {
            LogError::Redis(message) if message.contains("NOGROUP") => {
                tracing::warn!(
                    stream = %self.stream, group = ?self.group,
                    "the consumer group is gone: created again from the start of the stream"
                );
                self.create_group("0", true).await?;
                self.cursors = Cursors::default();
                Ok(nothing)
            }
            error => Err(error),
        }
    }

    /// Reads entries that were not yet delivered (`>`), or entries pending here after an id.
    async fn read_after(
        &mut self,
        after: &str,
        count: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<Entry>, LogError> {
        let mut commands = Pipeline::new();
        let read = commands.cmd("XREADGROUP").arg("GROUP").arg(&*self.group).arg(&*self.consumer);
        read.arg("COUNT").arg(count);
        if let Some(wait) = wait {
            // Zero would wait without a limit.
            read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        read.arg("STREAMS").arg(self.stream.name()).arg(after);
        self.reader.read(self.stream.name(), &commands, wait.unwrap_or_default()).await
    }

    /// Records the entries that a read of up to `count` missed entries returned.
    fn arrived(&mut self, entries: Vec<Entry>, count: usize) -> Missed {
        let last = entries.last().map(|entry| entry.id).filter(|_| entries.len() == count);
        entries.iter().for_each(|entry| self.cursors.record_arrival(entry.id));
        let has_more = self.cursors.advance(last);
        let (gone, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.fields.is_gone());
        let trimmed = gone.into_iter().map(|entry| entry.id).collect();
        Missed { entries, trimmed, unreadable: None, has_more }
    }

    /// Skips the first entry that is pending here after this id.
    async fn skip_entry(&mut self, after: StreamId, error: LogError) -> Result<Missed, LogError> {
        let mut commands = Pipeline::new();
        let pending = commands.cmd("XPENDING").arg(self.stream.name()).arg(&*self.group);
        pending.arg(format!("({after}")).arg("+").arg(1).arg(&*self.consumer);
        let answers = match self.run(&commands).await {
            // Without the entry's id, later entries wait too, until they are claimed.
            Err(forbidden) if forbidden.is_forbidden() => {
                self.cursors.advance(None);
                return Err(forbidden);
            }
            answers => answers?,
        };
        let id = answers.first().map_or(Ok(None), answers::first_pending)?;
        let has_more = self.cursors.advance(id);
        let unreadable = id.map(|id| (id, error));
        Ok(Missed { unreadable, has_more, ..Missed::default() })
    }

    async fn consumers(&mut self) -> Result<Vec<Consumer>, LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("CONSUMERS").arg(self.stream.name()).arg(&*self.group);
        let answers = self.run(&commands).await?;
        answers.first().map_or(Ok(Vec::new()), answers::consumers)
    }

    /// Returns `true` if this is another consumer that may be alive. A runner that died leaves its
    /// consumer behind, and it must not keep out the next runner. A consumer with another name may
    /// be in a long read, which the server counts as idle, so it counts as alive.
    fn is_other(&self, consumer: &Consumer) -> bool {
        let is_dead_runner =
            consumer.name.starts_with(OWN_CONSUMERS) && consumer.idle > self.claim_after;
        *consumer.name != *self.consumer && !is_dead_runner
    }

    async fn leave_if_done(&mut self, consumers: Vec<Consumer>) -> Result<(), LogError> {
        let own = consumers.into_iter().find(|consumer| *consumer.name == *self.consumer);
        // Deleting a consumer also deletes its pending entries: they would be lost.
        if own.is_some_and(|own| own.pending == 0) {
            let mut commands = Pipeline::new();
            let leave = commands.cmd("XGROUP").arg("DELCONSUMER").arg(self.stream.name());
            leave.arg(&*self.group).arg(&*self.consumer);
            self.run(&commands).await?;
        }
        Ok(())
    }

    fn failure_key(&self, id: StreamId) -> String {
        failure_key(self.stream, &self.group, id)
    }

    fn effect_key(&self, outbox_id: &str) -> String {
        format!("stream-effect:{}:{}:{outbox_id}", self.stream, self.group)
    }
}

impl Queue for RedisQueue {
    fn stream(&self) -> Stream {
        self.stream
    }

    fn group(&self) -> &str {
        &self.group
    }

    async fn join(&mut self, with_others: bool) -> Result<(), EffectError> {
        self.reopen().await.map_err(EffectError::from_log)?;
        let joined = async {
            self.create_group("$", !self.requires_stream).await?;
            // Created before counting: of two runners that start together, at least one sees the
            // other.
            let mut commands = Pipeline::new();
            let create = commands.cmd("XGROUP").arg("CREATECONSUMER").arg(self.stream.name());
            create.arg(&*self.group).arg(&*self.consumer);
            self.run(&commands).await?;
            let consumers = self.consumers().await?;
            let others = consumers.iter().filter(|consumer| self.is_other(consumer)).count();
            let is_in_use = others > 0 && !with_others;
            if is_in_use {
                self.leave_if_done(consumers).await?;
            }
            Ok(is_in_use.then_some(others))
        };
        let joined = joined.await.map_err(|error| match &error {
            LogError::Redis(message) if message.contains("requires the key to exist") => {
                EffectError::not_provisioned(self.stream)
            }
            _ => EffectError::from_log(error),
        });
        match joined? {
            Some(others) => Err(EffectError::in_use(&self.group, others)),
            None => Ok(()),
        }
    }

    async fn reopen(&mut self) -> Result<(), LogError> {
        self.reader.close();
        self.links.close();
        self.reader.open(self.stream.name()).await
    }

    async fn read(&mut self, count: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let count = self.reader.count().min(count);
        match self.read_after(">", count, Some(wait)).await {
            Ok(entries) => {
                entries.iter().for_each(|entry| self.cursors.record_arrival(entry.id));
                Ok(entries)
            }
            Err(error @ LogError::Redis(_)) => {
                self.recreate_group_if_missing(error, Vec::new()).await
            }
            Err(error) => {
                // The server may have delivered entries whose reply was lost.
                self.cursors.add_all_later();
                // A server or a proxy may also close an idle connection: that is no error.
                if error.is_closed() { Ok(Vec::new()) } else { Err(error) }
            }
        }
    }

    async fn missed(&mut self) -> Result<Missed, LogError> {
        let Some(after) = self.cursors.missed_after() else { return Ok(Missed::default()) };
        loop {
            // Without a connection, a smaller read does not help.
            self.reader.open(self.stream.name()).await?;
            let count = self.reader.count();
            match self.read_after(&after.to_string(), count, None).await {
                Ok(entries) => return Ok(self.arrived(entries, count)),
                Err(error @ LogError::Redis(_)) => {
                    return self.recreate_group_if_missing(error, Missed::default()).await;
                }
                Err(error) => {
                    if self.cursors.record_failure(count) {
                        return self.skip_entry(after, error).await;
                    }
                    // A timeout does not depend on the size of the read.
                    if matches!(error, LogError::Deadline(_)) {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn claim(&mut self, count: usize) -> Result<Claimed, LogError> {
        let mut commands = Pipeline::new();
        let claim = commands.cmd("XAUTOCLAIM").arg(self.stream.name()).arg(&*self.group);
        let idle = u64::try_from(self.claim_after.as_millis()).unwrap_or(u64::MAX);
        claim.arg(&*self.consumer).arg(idle).arg(self.claim_from.to_string());
        claim.arg("COUNT").arg(count).arg("JUSTID");
        match self.run(&commands).await {
            Ok(answers) => {
                let answer = reply::checked(answers.into_iter().next())?;
                let (next, ids, trimmed) = answers::claimed(&answer)?;
                self.claim_from = next;
                if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
                    self.cursors.add_missed(first.before(), *last);
                }
                Ok(Claimed { count: ids.len(), trimmed })
            }
            Err(error) => self.recreate_group_if_missing(error, Claimed::default()).await,
        }
    }

    async fn renew_claims(&mut self, held: &[StreamId]) -> Result<(), LogError> {
        if held.is_empty() {
            return Ok(());
        }
        let mut commands = Pipeline::new();
        let claim = commands.cmd("XCLAIM").arg(self.stream.name()).arg(&*self.group);
        claim.arg(&*self.consumer).arg(0);
        for id in held {
            claim.arg(id.to_string());
        }
        claim.arg("JUSTID");
        match self.run(&commands).await {
            Ok(_) => Ok(()),
            Err(error) => self.recreate_group_if_missing(error, ()).await,
        }
    }

    async fn acknowledge(&mut self, done: &[Done]) -> Result<(), LogError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::new();
        // First: the record must exist before the entry stops being pending.
        for outbox_id in done.iter().filter_map(|done| done.outbox_id.as_ref()) {
            if self.dedup {
                let (key, mut set) = (self.effect_key(outbox_id), Pipeline::new());
                set.cmd("SET").arg(&key).arg(1).arg("EX").arg(REMEMBERED_SECONDS);
                parts.push((key, set));
            }
        }
        let mut commands = Pipeline::new();
        let acknowledge = commands.cmd("XACK").arg(self.stream.name()).arg(&*self.group);
        for done in done {
            acknowledge.arg(done.id.to_string());
        }
        parts.push((self.stream.name().to_owned(), commands));
        // Last: while the entry is pending, its failed attempts must stay counted.
        for done in done.iter().filter(|done| done.failed) {
            let (key, mut delete) = (self.failure_key(done.id), Pipeline::new());
            delete.cmd("DEL").arg(&key);
            parts.push((key, delete));
        }
        self.links.run_all(parts).await
    }

    fn delivers_again(&self) -> bool {
        true
    }

    fn dedups(&self) -> bool {
        self.dedup
    }

    async fn was_done(&mut self, outbox_id: &str) -> Result<bool, LogError> {
        let mut commands = Pipeline::new();
        let key = self.effect_key(outbox_id);
        commands.cmd("EXISTS").arg(&key);
        let answers = self.links.run(&key, &commands).await?;
        answers.first().map_or(Ok(false), |answer| reply::number(answer).map(|count| count > 0))
    }

    async fn count_failure(&mut self, id: StreamId) -> Result<u32, LogError> {
        let key = self.failure_key(id);
        let mut commands = Pipeline::new();
        commands.cmd("INCR").arg(&key).cmd("EXPIRE").arg(&key).arg(REMEMBERED_SECONDS);
        let answers = self.links.run(&key, &commands).await?;
        let count = answers.first().map_or(Ok(0), reply::number)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn reject(
        &mut self,
        id: StreamId,
        letter: &[(String, String)],
    ) -> Result<bool, LogError> {
        loop {
            let (links, stream) = (&mut self.links, self.stream);
            match dead_letters::write(links, stream, id, Order::Any, letter).await {
                Ok(Attempt::LostRace) => {}
                Ok(attempt) => return Ok(attempt == Attempt::Written),
                Err(error) => {
                    // The connection may still be in a transaction.
                    self.links.close();
                    return Err(error);
                }
            }
        }
    }

    async fn write_dead_letter(&mut self, letter: &[(String, String)]) -> Result<(), LogError> {
        let mut commands = Pipeline::new();
        dead_letters::add(&mut commands, self.stream, letter);
        self.links.run(&dead_stream(self.stream), &commands).await.map(|_| ())
    }

    async fn leave(&mut self) -> Result<(), LogError> {
        let consumers = self.consumers().await?;
        self.leave_if_done(consumers).await
    }
}

/// Returns the key that counts failed attempts. For its own groups it is the STS's key, so that a
/// mixed fleet counts together. For other groups it is the Gateway's key, which includes the group.
fn failure_key(stream: Stream, group: &str, id: StreamId) -> String {
    match group {
        "sts-revocation" | "sts-keys" | "opa-engine" => format!("stream-failure:{stream}:{id}"),
        _ => format!("stream-failure:{stream}:{group}:{id}"),
    }
}
