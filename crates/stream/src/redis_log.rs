//! The log on a real Redis: one connection, read by `XREAD`, nothing shared with anybody.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::Moment;
use redis::{ConnectionInfo, Pipeline, Value};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::continuity::Identity;
use crate::log::{AsOf, Log, LogError, PerStream, Reading};
use crate::patience::{self, Patience};
use crate::persistence;
use crate::primary::Primary;
use crate::redis_reply as reply;
use crate::topology::{Address, Upstream};

/// At most so many entries a stream and answer, and fewer where they are large.
const MAX_COUNT: usize = 1_000;
const FIRST_COUNT: usize = 100;
/// An answer larger than this makes the next one smaller.
const COMFORTABLE_BYTES: usize = 8 << 20;
/// How often the server is asked who it is: each second, or with every read that takes about one.
const IDENTIFY_EVERY: Duration = Duration::from_millis(900);
/// How often the primary of a replica is asked, at most: a quarter of the shortest bound.
const ASK_PRIMARY_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct RedisLog {
    upstream: Upstream,
    /// The streams that are read here.
    streams: Vec<Stream>,
    connection: Option<Connection>,
    count: usize,
    /// Whether servers are read that do not count their entries.
    allow_unproven: bool,
    /// Whether this one counts.
    counts: bool,
    /// When this connection's server was last asked who it is.
    identified: Option<Instant>,
    /// Whether it is a replica.
    is_replica: bool,
    /// Its primary, where that is configured.
    primary: Option<Primary>,
    /// When that was last asked.
    asked_primary: Option<Instant>,
    /// Up to when the last answer held, where it told who the server is.
    as_of: AsOf,
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
            counts: true,
            identified: None,
            is_replica: false,
            primary: primary.map(Primary::new),
            asked_primary: None,
            as_of: AsOf::Unknown,
            patience: Patience::default(),
            warned: Vec::new(),
        }
    }

    /// Asks for what the server is told to wait for so long.
    async fn ask(&mut self, commands: &Pipeline, wait: Duration) -> Result<Vec<Value>, LogError> {
        let connection = self.connection.as_mut();
        let connection = connection.ok_or(LogError::Reply("there is no open connection"))?;
        let asked = Instant::now();
        let answers = connection.ask_within(wait + self.patience.grace(), commands).await;
        match &answers {
            Ok(_) => self.patience.answered(asked.elapsed().saturating_sub(wait)),
            // Large answers are late on a slow line.
            Err(LogError::Deadline(_)) => self.count = (self.count / 8).max(1),
            Err(_) => {}
        }
        answers
    }

    /// Takes in what a server says of itself on a new connection: its time.
    fn inspected(&mut self, answers: Vec<Value>) -> Result<Duration, LogError> {
        let mut answers = answers.into_iter();
        let time = reply::time(&reply::sound(answers.next())?)?;
        let info = reply::text(&reply::sound(answers.next())?)?;
        let version = reply::info_field(&info, "redis_version").unwrap_or("of unknown version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        self.counts = major.is_some_and(|major| major >= 7);
        if !self.counts && !self.allow_unproven {
            return Err(LogError::Version(version.to_owned()));
        }
        persistence::warn(answers, &mut self.warned);
        Ok(time)
    }

    fn understand(&self, answers: Vec<Value>, identified: bool) -> Result<Reading, LogError> {
        let mut answers = answers.into_iter();
        let server_time = reply::time(&reply::sound(answers.next())?)?;
        let mut identity = None;
        if identified {
            let server = reply::text(&reply::sound(answers.next())?)?;
            let replication = reply::text(&reply::sound(answers.next())?)?;
            identity = Some(Identity::of(&server, &replication)?);
        }
        let mut heads = PerStream::default();
        let is_asking = self.upstream.is_asking();
        for stream in &self.streams {
            if is_asking {
                reply::sound(answers.next())?;
            }
            let head = reply::head(answers.next(), self.counts)?;
            if let Some(place) = heads.get_mut(stream.index()) {
                *place = Some(head);
            }
        }
        if is_asking {
            reply::sound(answers.next())?;
        }
        let entries = reply::entries(reply::sound(answers.next())?)?;
        let drained = Stream::ALL.map(|stream| {
            entries.iter().filter(|entry| entry.stream == stream).count() < self.count
        });
        Ok(Reading { server_time, as_of: AsOf::Sent, identity, heads, entries, drained })
    }

    /// Fewer entries next time if these were large, more if they were small.
    fn adapt(&mut self, reading: &Reading) {
        let bytes: usize = reading
            .entries
            .iter()
            .flat_map(|entry| &entry.fields)
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.count = if bytes > COMFORTABLE_BYTES {
            (self.count / 8).max(1)
        } else if bytes < COMFORTABLE_BYTES / 8 {
            (self.count * 2).min(MAX_COUNT)
        } else {
            self.count
        };
    }

    async fn reopen(&mut self) -> Result<Duration, LogError> {
        (self.connection, self.identified) = (None, None);
        self.as_of = AsOf::Unknown;
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
        let identify = self.is_replica
            || self.identified.is_none_or(|asked| asked.elapsed() >= IDENTIFY_EVERY);
        let asked = Instant::now();
        let commands = read_commands(
            &self.streams,
            self.upstream.is_asking(),
            cursors,
            self.count,
            wait,
            identify,
        );
        let answers = self.ask(&commands, wait.unwrap_or_default()).await?;
        let mut reading = self.understand(answers, identify)?;
        if let Some(identity) = &mut reading.identity {
            self.is_replica = identity.is_replica;
            self.upstream.meet(identity)?;
            self.as_of = match &mut self.primary {
                _ if !identity.is_replica => AsOf::Sent,
                Some(primary) => primary.as_of(identity).map_or(AsOf::Unknown, AsOf::At),
                None => identity.last_heard.map_or(AsOf::Unknown, AsOf::Earlier),
            };
        }
        reading.as_of = self.upstream.cap(self.as_of)?;
        if identify {
            self.identified = Some(asked);
        }
        self.adapt(&reading);
        Ok(reading)
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
        let Some(primary) = self.primary.as_mut().filter(|_| self.is_replica) else { return };
        // As often as who the server is, or with each read that waits less.
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
}

/// A connection on which these commands were answered, and where somebody named it.
async fn open_asking(
    upstream: &Upstream,
    commands: &Pipeline,
) -> Result<(Option<Address>, Connection, Vec<Value>), LogError> {
    let (at, mut connection) = upstream.open().await?;
    let answers = connection.ask(commands, Duration::ZERO).await?;
    Ok((at, connection, answers))
}

/// The time, who the server is, the counters of each stream, and then the read, in one write and in
/// this order: what the counters tell was true before the entries were read.
fn read_commands(
    streams: &[Stream],
    is_asking: bool,
    cursors: &PerStream<StreamId>,
    count: usize,
    wait: Option<Duration>,
    identify: bool,
) -> Pipeline {
    let mut commands = Pipeline::with_capacity(streams.len() + 4);
    commands.cmd("TIME");
    if identify {
        commands.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    }
    for stream in streams {
        if is_asking {
            commands.cmd("ASKING");
        }
        commands.cmd("XINFO").arg("STREAM").arg(stream.name());
    }
    if is_asking {
        commands.cmd("ASKING");
    }
    let read = commands.cmd("XREAD").arg("COUNT").arg(count);
    if let Some(wait) = wait {
        // Zero would mean for ever.
        read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    read.arg("STREAMS");
    for stream in streams {
        read.arg(stream.name());
    }
    for cursor in streams.iter().filter_map(|stream| cursors.get(stream.index())) {
        read.arg(cursor.to_string());
    }
    commands
}
