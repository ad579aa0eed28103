//! A consumer group on a real Redis.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::Settings;
use caracal_revocation_stream::internal::dead_letters::{self, Attempt, Order, dead_stream};
use caracal_revocation_stream::internal::{self, Connection, Entry, Links, LogError, reply};
use redis::{Pipeline, Value};

use crate::answers::{self, Consumer};
use crate::error::EffectError;
use crate::queue::{Claimed, Done, Queue};

/// What the names of runners' consumers begin with, unless they were given one.
pub(crate) const OWN_CONSUMERS: &str = "effects-";
/// How long attempts are counted, and effects remembered.
const REMEMBERED_SECONDS: u64 = 24 * 60 * 60;

pub(crate) struct RedisQueue {
    pub(crate) settings: Box<Settings>,
    pub(crate) stream: Stream,
    pub(crate) group: Box<str>,
    pub(crate) consumer: Box<str>,
    pub(crate) claim_after: Duration,
    pub(crate) dedup: bool,
    /// The stream must be there: it is not made on a server that may be the wrong one.
    pub(crate) requires_stream: bool,
    /// A blocking read holds up what is sent after it, so it has a connection of its own.
    pub(crate) reading: Option<Connection>,
    pub(crate) telling: Links,
    pub(crate) claim_from: StreamId,
}

impl RedisQueue {
    /// Sends commands on the stream and takes all their answers; the first error among them is the
    /// result.
    async fn tell(&mut self, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.telling.tell(self.stream.name(), commands).await
    }

    async fn create_group(&mut self, from: &str, with_stream: bool) -> Result<(), LogError> {
        let mut commands = Pipeline::new();
        let create = commands.cmd("XGROUP").arg("CREATE").arg(self.stream.name());
        create.arg(&*self.group).arg(from);
        if with_stream {
            create.arg("MKSTREAM");
        }
        match self.tell(&commands).await {
            Err(LogError::Redis(error)) if error.starts_with("BUSYGROUP") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// A flush took the group along, or somebody destroyed it. Made anew it begins at the start
    /// of the stream: what is delivered again is a duplicate, what is passed over is lost.
    async fn heal<T>(&mut self, error: LogError, nothing: T) -> Result<T, LogError> {
        match error {
            LogError::Redis(words) if words.contains("NOGROUP") => {
                tracing::warn!(
                    stream = %self.stream, group = ?self.group,
                    "the consumer group is gone: made anew, from the start of the stream"
                );
                self.create_group("0", true).await?;
                Ok(nothing)
            }
            error => Err(error),
        }
    }

    /// Reads on the connection for reading: on a new one, if that was closed while it was idle.
    async fn ask(&mut self, commands: &Pipeline, wait: Duration) -> Result<Vec<Value>, LogError> {
        match open(&mut self.reading)?.ask(commands, wait).await {
            Err(error) if error.is_closed() => {
                let reading = internal::open(&self.settings, self.stream.name()).await?;
                self.reading.insert(reading).ask(commands, wait).await
            }
            answers => answers,
        }
    }

    async fn consumers(&mut self) -> Result<Vec<Consumer>, LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("CONSUMERS").arg(self.stream.name()).arg(&*self.group);
        let answers = self.tell(&commands).await?;
        answers.first().map_or(Ok(Vec::new()), answers::consumers)
    }

    /// Whether the consumer is somebody else, and may be alive. A runner that died leaves its
    /// consumer behind, and must not keep the next one out; of others nothing can be told, since
    /// the server hears nothing of one that waits in a long read.
    fn is_other(&self, consumer: &Consumer) -> bool {
        let is_dead_runner =
            consumer.name.starts_with(OWN_CONSUMERS) && consumer.idle > self.claim_after;
        *consumer.name != *self.consumer && !is_dead_runner
    }

    async fn leave_if_done(&mut self, consumers: Vec<Consumer>) -> Result<(), LogError> {
        let own = consumers.into_iter().find(|consumer| *consumer.name == *self.consumer);
        // A consumer that goes takes its pending entries along: they would be lost.
        if own.is_some_and(|own| own.pending == 0) {
            let mut commands = Pipeline::new();
            let leave = commands.cmd("XGROUP").arg("DELCONSUMER").arg(self.stream.name());
            leave.arg(&*self.group).arg(&*self.consumer);
            self.tell(&commands).await?;
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
            // Before the others are counted: of two that come at once, both must not see nobody.
            let mut commands = Pipeline::new();
            let create = commands.cmd("XGROUP").arg("CREATECONSUMER").arg(self.stream.name());
            create.arg(&*self.group).arg(&*self.consumer);
            self.tell(&commands).await?;
            let consumers = self.consumers().await?;
            let others = consumers.iter().filter(|consumer| self.is_other(consumer)).count();
            let is_refused = others > 0 && !with_others;
            if is_refused {
                self.leave_if_done(consumers).await?;
            }
            Ok(is_refused.then_some(others))
        };
        let joined = joined.await.map_err(|error| match &error {
            LogError::Redis(words) if words.contains("requires the key to exist") => {
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
        self.reading = Some(internal::open(&self.settings, self.stream.name()).await?);
        self.telling = internal::links(&self.settings);
        Ok(())
    }

    async fn read(&mut self, count: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let mut commands = Pipeline::new();
        let read = commands.cmd("XREADGROUP").arg("GROUP").arg(&*self.group).arg(&*self.consumer);
        // Zero would mean for ever.
        let block = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        read.arg("COUNT").arg(count).arg("BLOCK").arg(block);
        read.arg("STREAMS").arg(self.stream.name()).arg(">");
        let answers = self.ask(&commands, wait).await?;
        match reply::sound(answers.into_iter().next()) {
            Ok(answer) => reply::entries(answer),
            Err(error) => self.heal(error, Vec::new()).await,
        }
    }

    async fn claim(&mut self, count: usize) -> Result<Claimed, LogError> {
        let mut commands = Pipeline::new();
        let claim = commands.cmd("XAUTOCLAIM").arg(self.stream.name()).arg(&*self.group);
        let idle = u64::try_from(self.claim_after.as_millis()).unwrap_or(u64::MAX);
        claim.arg(&*self.consumer).arg(idle).arg(self.claim_from.to_string());
        claim.arg("COUNT").arg(count);
        match self.tell(&commands).await {
            Ok(answers) => {
                let answer = reply::sound(answers.into_iter().next())?;
                let (next, entries, trimmed) = answers::claimed(self.stream, answer)?;
                self.claim_from = next;
                Ok(Claimed { entries, trimmed })
            }
            Err(error) => self.heal(error, Claimed::default()).await,
        }
    }

    async fn keep(&mut self, held: &[StreamId]) -> Result<(), LogError> {
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
        match self.tell(&commands).await {
            Ok(_) => Ok(()),
            Err(error) => self.heal(error, ()).await,
        }
    }

    async fn acknowledge(&mut self, done: &[Done]) -> Result<(), LogError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::new();
        // First what must be there when the entry is no more pending.
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
        // Last: while the entry is pending, its attempts count.
        for done in done.iter().filter(|done| done.failed) {
            let (key, mut delete) = (self.failure_key(done.id), Pipeline::new());
            delete.cmd("DEL").arg(&key);
            parts.push((key, delete));
        }
        self.telling.tell_all(parts).await
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
        let answers = self.telling.tell(&key, &commands).await?;
        answers.first().map_or(Ok(false), |answer| reply::number(answer).map(|count| count > 0))
    }

    async fn count_failure(&mut self, id: StreamId) -> Result<u32, LogError> {
        let key = self.failure_key(id);
        let mut commands = Pipeline::new();
        commands.cmd("INCR").arg(&key).cmd("EXPIRE").arg(&key).arg(REMEMBERED_SECONDS);
        let answers = self.telling.tell(&key, &commands).await?;
        let count = answers.first().map_or(Ok(0), reply::number)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn reject(
        &mut self,
        id: StreamId,
        letter: &[(String, String)],
    ) -> Result<bool, LogError> {
        loop {
            let (links, stream) = (&mut self.telling, self.stream);
            match dead_letters::write(links, stream, id, Order::Any, letter).await {
                Ok(Attempt::LostRace) => {}
                Ok(attempt) => return Ok(attempt == Attempt::Written),
                Err(error) => {
                    // A transaction may have been left open on it.
                    self.telling.close();
                    return Err(error);
                }
            }
        }
    }

    async fn bury(&mut self, letter: &[(String, String)]) -> Result<(), LogError> {
        let mut commands = Pipeline::new();
        dead_letters::add(&mut commands, self.stream, letter);
        self.telling.tell(&dead_stream(self.stream), &commands).await.map(|_| ())
    }

    async fn leave(&mut self) -> Result<(), LogError> {
        let consumers = self.consumers().await?;
        self.leave_if_done(consumers).await
    }
}

/// Where failed attempts are counted: as the STS does in its own groups, so that a mixed fleet
/// counts together, and as the Gateway does in all others, so that groups don't count for each
/// other.
fn failure_key(stream: Stream, group: &str, id: StreamId) -> String {
    match group {
        "sts-revocation" | "sts-keys" | "opa-engine" => format!("stream-failure:{stream}:{id}"),
        _ => format!("stream-failure:{stream}:{group}:{id}"),
    }
}

fn open(connection: &mut Option<Connection>) -> Result<&mut Connection, LogError> {
    connection.as_mut().ok_or(LogError::Reply("there is no open connection"))
}
