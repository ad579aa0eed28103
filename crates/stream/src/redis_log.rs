//! The log on a real Redis: one connection, read by `XREAD`, nothing shared with anybody.

use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Moment;
use redis::{ConnectionInfo, Pipeline, Value};
use tokio::time::Instant;

use crate::continuity::Identity;
use crate::log::{AsOf, Log, LogError, PerStream, Reading};
use crate::patience::{self, Patience};
use crate::persistence;
use crate::primary::{self, Primary};
use crate::redis_reply as reply;
use crate::topology::{Address, Upstream};
use crate::wire::{Answers, Wire};

/// At most so many entries a stream and answer, and fewer where they are large.
const MAX_COUNT: usize = 1_000;
const FIRST_COUNT: usize = 100;
/// An answer larger than this makes the next one smaller.
const COMFORTABLE_BYTES: usize = 8 << 20;
/// How often the counters of the streams are asked for while entries come one by one: what they
/// prove is older by so much, and asking each time would take the server longer than the entry.
const HEADS_EVERY: Duration = Duration::from_millis(20);
/// How often the primary of the server that is read is asked, at most: a quarter of the shortest bound.
const ASK_PRIMARY_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct RedisLog {
    upstream: Upstream,
    /// The streams that are read here.
    streams: Vec<Stream>,
    connection: Option<Wire>,
    count: usize,
    /// Whether servers are read that do not count their entries.
    allow_unproven: bool,
    /// What this connection leads to.
    server: Server,
    /// What was sent and is not answered yet.
    asked: Option<Asked>,
    /// When this connection's server was last asked who it is, and for the counters of the streams.
    asked_heads: Option<Instant>,
    /// Its primary, where that is configured.
    primary: Option<Primary>,
    /// When that was last asked.
    asked_primary: Option<Instant>,
    /// The reason that the last answer that told who the server is could not be proven fresh.
    freshness_error: Option<LogError>,
    /// How long the next answer may take.
    patience: Patience,
    /// What was last said of the server's persistence settings, to say it once.
    warned: Vec<String>,
}

impl RedisLog {
    pub(crate) fn new(
        (upstream, streams): (Upstream, Vec<Stream>),
        primary: Option<ConnectionInfo>,
        allow_unproven: bool,
    ) -> Self {
        Self {
            upstream,
            streams,
            connection: None,
            count: FIRST_COUNT,
            allow_unproven,
            server: Server::default(),
            asked: None,
            asked_heads: None,
            primary: primary.map(Primary::new),
            asked_primary: None,
            freshness_error: None,
            patience: Patience::default(),
            warned: Vec::new(),
        }
    }

    fn connection(&mut self) -> Result<&mut Wire, LogError> {
        self.connection.as_mut().ok_or(LogError::Reply("there is no open connection"))
    }

    /// Takes in what a server says of itself on a new connection: its time.
    fn inspected(&mut self, answers: Vec<Value>) -> Result<Duration, LogError> {
        let mut answers = answers.into_iter();
        let time = reply::time(&reply::sound(answers.next())?)?;
        let info = reply::text(&reply::sound(answers.next())?)?;
        let version = reply::info_field(&info, "redis_version").unwrap_or("of unknown version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let counts = major.is_some_and(|major| major >= 7);
        if !counts && !self.allow_unproven {
            return Err(LogError::Version(version.to_owned()));
        }
        self.server = Server { run_id: Identity::run_id(&info)?.into(), counts };
        persistence::warn(answers, &mut self.warned);
        Ok(time)
    }

    /// Sends what asks for the entries after the cursors, and for the heads if they are due.
    async fn ask(
        &mut self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<(), LogError> {
        let now = Instant::now();
        let is_due = self.asked_heads.is_none_or(|asked| now.duration_since(asked) >= HEADS_EVERY);
        // While nothing is waited for, answers are long, and this is nothing beside them.
        let heads = wait.is_none() || is_due;
        // Without the heads an answer proves nothing, so it must not be long in coming.
        let wait = wait.map(|wait| if heads { wait } else { wait.min(HEADS_EVERY) });
        let is_asking = self.upstream.is_asking();
        let asked = Asked { cursors, count: self.count, wait, heads, is_asking };
        let commands = asked.commands(&self.streams);
        self.connection()?.send(&commands).await?;
        if heads {
            self.asked_heads = Some(now);
        }
        self.asked = Some(asked);
        Ok(())
    }

    /// Receives what was asked for last.
    async fn answer(&mut self) -> Result<Reading, LogError> {
        let asked = self.asked.take().ok_or(LogError::Reply("nothing was asked"))?;
        let (wait, begun) = (asked.wait.unwrap_or_default(), Instant::now());
        let deadline = wait + self.patience.grace();
        let answers = self.connection()?.receive(deadline).await;
        match &answers {
            Ok(_) => self.patience.answered(begun.elapsed().saturating_sub(wait)),
            // Large answers are late on a slow line.
            Err(LogError::Deadline(_)) => self.count = (self.count / 8).max(1),
            Err(_) => {}
        }
        let answers = answers?;
        let mut reading = asked.understand(&answers, &self.streams, &self.server)?;
        // A server may be demoted between two answers, so each proves only its own freshness.
        if let Some(identity) = &mut reading.identity {
            self.upstream.meet(identity)?;
            (reading.as_of, self.freshness_error) = match &mut self.primary {
                Some(primary) => primary.vouch(identity),
                None if identity.is_replica => (AsOf::Unknown, Some(primary::not_set())),
                None => (AsOf::Sent, None),
            };
        }
        let unconfirmed;
        (reading.as_of, unconfirmed) = self.upstream.cap(reading.as_of)?;
        reading.freshness_error = unconfirmed.or_else(|| self.freshness_error.clone());
        self.adapt(answers.len());
        Ok(reading)
    }

    /// Fewer entries next time if these were large, more if they were small.
    fn adapt(&mut self, bytes: usize) {
        self.count = if bytes > COMFORTABLE_BYTES {
            (self.count / 8).max(1)
        } else if bytes < COMFORTABLE_BYTES / 8 {
            (self.count * 2).min(MAX_COUNT)
        } else {
            self.count
        };
    }

    async fn reopen(&mut self) -> Result<Duration, LogError> {
        (self.connection, self.asked) = (None, None);
        (self.asked_heads, self.freshness_error) = (None, None);
        let mut commands = Pipeline::new();
        commands.cmd("TIME").cmd("INFO").arg("server");
        persistence::ask(&mut commands);
        let (upstream, commands) = (&self.upstream, &commands);
        let (at, connection, answers) = patience::race(|| open_asking(upstream, commands)).await?;
        self.upstream.opened(at).await;
        (self.connection, self.patience) = (Some(connection), Patience::default());
        self.inspected(answers)
    }

    async fn read_once(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        match &self.asked {
            Some(asked) if asked.cursors == *cursors => {}
            // A hole was found meanwhile, and the reading goes on elsewhere.
            Some(_) => {
                self.answer().await?;
                self.ask(*cursors, wait).await?;
            }
            None => self.ask(*cursors, wait).await?,
        }
        let reading = self.answer().await?;
        let tells_nothing = reading.entries.is_empty() && reading.identity.is_none();
        if !tells_nothing {
            return Ok(reading);
        }
        // It was quiet, so now the counters are worth asking for.
        self.asked_heads = None;
        self.ask(*cursors, wait).await?;
        self.answer().await
    }
}

impl Log for RedisLog {
    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    async fn open(&mut self) -> Result<Duration, LogError> {
        let opened = self.reopen().await;
        opened.inspect_err(|error| self.upstream.failed(error))
    }

    async fn prepare(&mut self, now: Moment) {
        self.upstream.prepare(now);
        let Some(primary) = &mut self.primary else { return };
        if self.asked_primary.is_none_or(|asked| asked.elapsed() >= ASK_PRIMARY_EVERY) {
            self.asked_primary = Some(Instant::now());
            primary.ask(now).await;
        }
    }

    async fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        let reading = self.read_once(cursors, wait).await;
        reading.inspect_err(|error| self.upstream.failed(error))
    }

    async fn read_ahead(&mut self, cursors: &PerStream<StreamId>) -> Result<(), LogError> {
        let asked = self.ask(*cursors, None).await;
        asked.inspect_err(|error| self.upstream.failed(error))
    }
}

/// A connection on which these commands were answered, and where somebody named it.
async fn open_asking(
    upstream: &Upstream,
    commands: &Pipeline,
) -> Result<(Option<Address>, Wire, Vec<Value>), LogError> {
    let (at, mut connection) = upstream.open().await?;
    let answers = connection.values(commands).await?;
    Ok((at, connection, answers))
}

/// A read that was sent.
#[derive(Debug)]
struct Asked {
    cursors: PerStream<StreamId>,
    count: usize,
    wait: Option<Duration>,
    /// `true` if it asked who the server is, and for the counters of the streams.
    heads: bool,
    /// Whether each command has the word before it that it is meant for a stream on its way.
    is_asking: bool,
}

/// What a server said of itself when the connection to it was opened: a connection leads to one
/// process.
#[derive(Debug, Default)]
struct Server {
    run_id: Box<str>,
    /// `true` if it counts the entries of a stream.
    counts: bool,
}

impl Asked {
    /// The time, who the server is, the counters of each stream, and then the read, in one write
    /// and in this order: a server that is a primary has everything, so what the counters tell
    /// afterwards is complete, and it was true before the entries were read.
    fn commands(&self, streams: &[Stream]) -> Pipeline {
        let mut commands = Pipeline::with_capacity(streams.len() + 4);
        commands.cmd("TIME");
        if self.heads {
            commands.cmd("INFO").arg("replication");
        }
        for stream in streams.iter().filter(|_| self.heads) {
            if self.is_asking {
                commands.cmd("ASKING");
            }
            commands.cmd("XINFO").arg("STREAM").arg(stream.name());
        }
        if self.is_asking {
            commands.cmd("ASKING");
        }
        let read = commands.cmd("XREAD").arg("COUNT").arg(self.count);
        if let Some(wait) = self.wait {
            // Zero would mean for ever.
            read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        read.arg("STREAMS");
        for stream in streams {
            read.arg(stream.name());
        }
        for cursor in streams.iter().filter_map(|stream| self.cursors.get(stream.index())) {
            read.arg(cursor.to_string());
        }
        commands
    }

    /// What the answers say, all but up to when they hold.
    fn understand(
        &self,
        answers: &Bytes,
        streams: &[Stream],
        server: &Server,
    ) -> Result<Reading, LogError> {
        let mut answers = Answers::new(answers);
        let server_time = answers.time()?;
        let mut identity = None;
        if self.heads {
            identity = Some(Identity::of(&server.run_id, &answers.text()?)?);
        }
        let mut heads = PerStream::default();
        for stream in streams.iter().filter(|_| self.heads) {
            if self.is_asking {
                answers.text()?;
            }
            if let Some(head) = heads.get_mut(stream.index()) {
                let answer = answers.head(server.counts);
                *head = Some(answer.map_err(|error| error.on(stream.name()))?);
            }
        }
        if self.is_asking {
            answers.text()?;
        }
        let entries = answers.entries()?;
        let mut read = [0; Stream::ALL.len()];
        for entry in &entries {
            if let Some(read) = read.get_mut(entry.stream.index()) {
                *read += 1;
            }
        }
        let streams = Stream::ALL.map(|stream| streams.contains(&stream));
        let mut drained = read.map(|read| read < self.count);
        drained.iter_mut().zip(streams).for_each(|(drained, read)| *drained &= read);
        Ok(Reading {
            server_time,
            as_of: AsOf::Unknown,
            freshness_error: None,
            identity,
            streams,
            heads,
            entries,
            drained,
        })
    }
}

#[cfg(test)]
mod tests;
