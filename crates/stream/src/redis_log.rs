//! The log on a real Redis: one connection, read by `XREAD`, nothing shared with anybody.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::{Moment, Revocations};
use redis::{ConnectionInfo, Pipeline, Value};
use tokio::time::Instant;

use crate::adaptive_timeout::{AdaptiveTimeout, connect_hedged};
use crate::entry::PerStream;
use crate::identity::Identity;
use crate::log::{AsOf, Log, Reading};
use crate::log_error::LogError;
use crate::persistence;
use crate::primary::{self, Primary};
use crate::redis_reply as reply;
use crate::topology::{Address, Upstream};
use crate::wire::{Received, Wire};

use asked::Asked;
use batch::Batch;
use counters::Spacing;

mod asked;
mod batch;
mod counters;
mod planning;
#[cfg(test)]
mod tests;

/// How often the primary of the server that is read is asked, at most: a quarter of the shortest bound.
const ASK_PRIMARY_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct RedisLog {
    upstream: Upstream,
    /// The streams that are read here.
    streams: Vec<Stream>,
    connection: Option<Wire>,
    batch: Batch,
    spacing: Spacing,
    /// After which entries was asked last.
    cursors: PerStream<StreamId>,
    /// Whose staleness bound the counters must keep.
    revocations: Option<Revocations>,
    /// The next step where each stream is read by itself: its counters, then its entries.
    step: usize,
    /// How many reads in a row have brought no entry.
    quiet: usize,
    /// An answer about one stream alone was cut, and that was logged.
    told_cut: bool,
    /// Whether servers are read that do not count their entries.
    allow_unproven: bool,
    /// What this connection leads to.
    server: Server,
    /// What was sent and is not answered yet.
    asked: Option<Asked>,
    /// Its primary, where that is configured.
    primary: Option<Primary>,
    /// When that was last asked.
    asked_primary: Option<Instant>,
    /// The reason that the last answer that told who the server is could not be proven fresh.
    freshness_error: Option<LogError>,
    /// How long the next answer may take.
    answer_timeout: AdaptiveTimeout,
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
            batch: Batch::default(),
            spacing: Spacing::default(),
            cursors: PerStream::default(),
            revocations: None,
            step: 0,
            quiet: 0,
            told_cut: false,
            allow_unproven,
            server: Server::default(),
            asked: None,
            primary: primary.map(Primary::new),
            asked_primary: None,
            freshness_error: None,
            answer_timeout: AdaptiveTimeout::default(),
            warned: Vec::new(),
        }
    }

    /// Asks for the counters often enough for this state's staleness bound.
    pub(crate) fn bounded_by(self, revocations: Revocations) -> Self {
        Self { revocations: Some(revocations), ..self }
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

    /// Sends what asks for the entries after the cursors, and for the counters that are due.
    async fn ask(
        &mut self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<(), LogError> {
        for ((stream, before), cursor) in Stream::ALL.into_iter().zip(self.cursors).zip(cursors) {
            // A stream that is read again is proven by new counters only.
            if cursor < before {
                self.spacing.hasten(stream);
            }
        }
        self.cursors = cursors;
        let asked = if self.batch.is_narrow() {
            self.next_step(cursors)
        } else {
            self.all_streams(cursors, wait)
        };
        let commands = asked.commands();
        self.connection()?.send(&commands).await?;
        for (stream, _) in asked.heads() {
            self.spacing.asked(stream);
        }
        self.asked = Some(asked);
        Ok(())
    }

    /// Receives what was asked for last.
    async fn answer(&mut self) -> Result<Reading, LogError> {
        let asked = self.asked.take().ok_or(LogError::Reply("nothing was asked"))?;
        let (wait, begun) = (asked.wait.unwrap_or_default(), Instant::now());
        let deadline = wait + self.answer_timeout.grace();
        let received = self.connection()?.receive(deadline, asked.keep()).await;
        let received = received.map_err(|error| self.cut(&asked, error))?;
        self.answer_timeout.answered(received.silence.saturating_sub(wait));
        self.arrived(&asked, &received, begun.elapsed().saturating_sub(wait));
        let mut reading = asked.understand(&received, &self.streams, &self.server)?;
        self.quiet = if reading.entries.is_empty() { self.quiet.saturating_add(1) } else { 0 };
        // A server may be demoted between two answers, so each proves only its own freshness.
        if let Some(identity) = &mut reading.identity {
            self.upstream.accept_identity(identity)?;
            (reading.as_of, self.freshness_error) = match &mut self.primary {
                Some(primary) => primary.vouch(identity),
                None if identity.is_replica => (AsOf::Unknown, Some(primary::not_set())),
                None => (AsOf::Sent, None),
            };
        }
        let unconfirmed;
        (reading.as_of, unconfirmed) = self.upstream.cap(reading.as_of)?;
        reading.freshness_error = unconfirmed.or_else(|| self.freshness_error.clone());
        Ok(reading)
    }

    /// Asks for less next time, and of counters more rarely.
    fn arrived(&mut self, asked: &Asked, received: &Received, took: Duration) {
        let all = received.sizes.iter().sum();
        let entries = received.sizes.last().filter(|_| asked.asks_entries());
        self.batch.arrived(entries.copied().unwrap_or(0), all, took);
        for (nth, stream) in asked.head_answers() {
            self.spacing.answered(stream, received.sizes.get(nth).copied().unwrap_or(0));
        }
        self.told_cut &= self.batch.is_narrow();
    }

    /// The error of answers that did not arrive whole; less is asked for next time.
    fn cut(&mut self, asked: &Asked, error: LogError) -> LogError {
        let was_narrow = self.batch.is_narrow();
        self.batch.cut();
        let Some(stopped) = self.connection.as_mut().and_then(Wire::stopped) else { return error };
        if let Some((_, stream)) = asked.head_answers().find(|(nth, _)| *nth == stopped.answers) {
            self.spacing.answered(stream, stopped.size);
        }
        let error = asked.cut(error, &stopped);
        if was_narrow && !std::mem::replace(&mut self.told_cut, true) {
            tracing::error!(
                %error,
                "the smallest answer about this stream does not arrive whole: the view goes stale; \
                 raise client-output-buffer-limit, or the limit of the proxy, above twice the \
                 largest message, or remove that message"
            );
        }
        error
    }

    async fn reopen(&mut self) -> Result<Duration, LogError> {
        (self.connection, self.asked) = (None, None);
        self.freshness_error = None;
        self.spacing.restart();
        let mut commands = Pipeline::new();
        commands.cmd("TIME").cmd("INFO").arg("server");
        persistence::ask(&mut commands);
        let (upstream, commands) = (&self.upstream, &commands);
        let (at, connection, answers) = connect_hedged(|| open_asking(upstream, commands)).await?;
        self.upstream.opened(at).await;
        (self.connection, self.answer_timeout) = (Some(connection), AdaptiveTimeout::default());
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
        // It was quiet, so now the counters are worth asking for.
        if !tells_nothing || self.batch.is_narrow() || !self.spacing.hurry(&self.streams) {
            return Ok(reading);
        }
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

/// What a server said of itself when the connection to it was opened: a connection leads to one
/// process.
#[derive(Debug, Default)]
struct Server {
    run_id: Box<str>,
    /// `true` if it counts the entries of a stream.
    counts: bool,
}
