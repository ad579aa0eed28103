//! The log on Redis: reads the streams with `XREAD`, on its own connection.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_state::{Moment, Revocations};
use redis::{ConnectionInfo, Pipeline, Value};
use tokio::time::{Instant, sleep};

use crate::adaptive_timeout::{AdaptiveTimeout, connect_hedged};
use crate::entry::PerStream;
use crate::identity::Identity;
use crate::log::{AsOf, Log, Reading};
use crate::log_error::LogError;
use crate::persistence;
use crate::primary::{self, Primary};
use crate::redis_reply as reply;
use crate::topology::{Address, Upstream};
use crate::wire::Wire;

use planning::ReadPlanner;
use read_request::{ReadRequest, Server};

pub(crate) mod batch;
mod counters;
mod planning;
mod read_request;
#[cfg(test)]
mod tests;

#[derive(Debug)]
pub(crate) struct RedisLog {
    upstream: Upstream,
    connection: Option<Wire>,
    planner: ReadPlanner,
    /// `true` once it was logged that an answer about one stream alone was cut.
    has_logged_cut: bool,
    /// `true` if servers that do not count their entries are accepted.
    allow_unproven: bool,
    /// The server that this connection leads to.
    server: Server,
    /// The read that was sent and is not answered yet.
    request: Option<ReadRequest>,
    /// The primary of the replica that is read, if one is configured.
    primary: Option<Primary>,
    /// The time at which the primary was last asked.
    primary_queried_at: Option<Instant>,
    /// The reason that the last answer with the server's identity could not be proven fresh.
    freshness_error: Option<LogError>,
    /// The time that the next answer may take.
    answer_timeout: AdaptiveTimeout,
    /// The warnings about the server's persistence settings that were logged, so that each is
    /// logged once.
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
            connection: None,
            planner: ReadPlanner::new(streams),
            has_logged_cut: false,
            allow_unproven,
            server: Server::default(),
            request: None,
            primary: primary.map(Primary::new),
            primary_queried_at: None,
            freshness_error: None,
            answer_timeout: AdaptiveTimeout::default(),
            warned: Vec::new(),
        }
    }

    /// Asks for the counters often enough for this state's staleness bound.
    pub(crate) fn bounded_by(mut self, revocations: Revocations) -> Self {
        self.planner.bounded_by(revocations);
        self
    }

    /// Reads at most once in this interval while entries arrive.
    pub(crate) const fn read_every(mut self, interval: Duration) -> Self {
        self.planner.read_every(interval);
        self
    }

    fn connection(&mut self) -> Result<&mut Wire, LogError> {
        self.connection.as_mut().ok_or(LogError::Reply("there is no open connection"))
    }

    /// Checks the server's answers on a new connection, and returns its time.
    fn inspected(&mut self, answers: Vec<Value>) -> Result<Duration, LogError> {
        let mut answers = answers.into_iter();
        let time = reply::time(&reply::checked(answers.next())?)?;
        let info = reply::text(&reply::checked(answers.next())?)?;
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

    /// Sends the next read, for the entries after the cursors and the counters that are due.
    async fn send_read(
        &mut self,
        cursors: PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<(), LogError> {
        let pause = self.planner.pause();
        // A read that does not wait reads history.
        if wait.is_some() && !pause.is_zero() {
            sleep(pause).await;
        }
        let request =
            self.planner.plan(cursors, wait, self.server.counts, self.upstream.is_asking());
        self.connection()?.send(&request.commands()).await?;
        self.planner.sent(&request);
        self.request = Some(request);
        Ok(())
    }

    /// Receives the answer to the last read.
    async fn receive_read(&mut self) -> Result<Reading, LogError> {
        let request = self.request.take().ok_or(LogError::Reply("no read was sent"))?;
        let wait = request.wait.unwrap_or_default();
        let deadline = wait + self.answer_timeout.grace();
        let received = self.connection()?.receive(deadline, request.keep()).await;
        let received = received.map_err(|error| self.cut(&request, error))?;
        self.answer_timeout.answered(received.silence.saturating_sub(wait));
        self.planner.arrived(&request, &received.sizes, received.took.saturating_sub(wait));
        self.has_logged_cut &= self.planner.is_narrow();
        let mut reading = request.parse_answers(&received, self.planner.streams(), &self.server)?;
        self.planner.read(!reading.entries.is_empty());
        // A server may be demoted between two answers, so each answer proves only its own
        // freshness.
        if let Some(identity) = &mut reading.identity {
            self.upstream.accept_identity(identity)?;
            (reading.as_of, self.freshness_error) = match &mut self.primary {
                // rule: replica-is-as-fresh-as-primary-says
                Some(primary) => primary.prove_freshness(identity),
                // rule: replica-needs-primary
                None if identity.is_replica => (AsOf::Unknown, Some(primary::not_set())),
                None => (AsOf::Sent, None),
            };
        }
        let unconfirmed;
        (reading.as_of, unconfirmed) = self.upstream.cap(reading.as_of)?;
        reading.freshness_error = unconfirmed.or_else(|| self.freshness_error.clone());
        Ok(reading)
    }

    /// Makes the next read smaller, and adds to the error which answer was cut.
    fn cut(&mut self, request: &ReadRequest, error: LogError) -> LogError {
        let was_narrow = self.planner.is_narrow();
        let stopped = self.connection.as_mut().and_then(Wire::stopped);
        self.planner.cut(request, stopped.as_ref());
        let Some(stopped) = stopped else { return error };
        let error = request.cut(error, &stopped);
        if was_narrow && !std::mem::replace(&mut self.has_logged_cut, true) {
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
        (self.connection, self.request) = (None, None);
        self.freshness_error = None;
        self.planner.reopened();
        let mut commands = Pipeline::new();
        commands.cmd("TIME").cmd("INFO").arg("server");
        persistence::add_queries(&mut commands);
        let (upstream, commands) = (&self.upstream, &commands);
        let (at, connection, answers) =
            connect_hedged(|| open_and_query(upstream, commands)).await?;
        self.upstream.opened(at).await;
        (self.connection, self.answer_timeout) = (Some(connection), AdaptiveTimeout::default());
        self.inspected(answers)
    }

    async fn read_once(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        match &self.request {
            Some(request) if request.cursors == *cursors => {}
            // A gap was found since the read was sent, so the cursors have changed.
            Some(_) => {
                self.receive_read().await?;
                self.send_read(*cursors, wait).await?;
            }
            None => self.send_read(*cursors, wait).await?,
        }
        let reading = self.receive_read().await?;
        let is_empty = reading.entries.is_empty() && reading.identity.is_none();
        // Without new entries, there is time to ask for the counters.
        if !is_empty || !self.planner.hurry() {
            return Ok(reading);
        }
        self.send_read(*cursors, wait).await?;
        self.receive_read().await
    }
}

impl Log for RedisLog {
    fn streams(&self) -> &[Stream] {
        self.planner.streams()
    }

    async fn open(&mut self) -> Result<Duration, LogError> {
        let opened = self.reopen().await;
        opened.inspect_err(|error| self.upstream.failed(error))
    }

    async fn prepare(&mut self, now: Moment) {
        self.upstream.prepare(now);
        let Some(primary) = &mut self.primary else { return };
        let every = self.planner.shortest_interval();
        if self.primary_queried_at.is_none_or(|at| at.elapsed() >= every) {
            self.primary_queried_at = Some(Instant::now());
            primary.query(now).await;
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
        let sent = self.send_read(*cursors, None).await;
        sent.inspect_err(|error| self.upstream.failed(error))
    }
}

/// Opens a connection and sends these commands on it. Returns the named primary, the connection,
/// and the answers.
async fn open_and_query(
    upstream: &Upstream,
    commands: &Pipeline,
) -> Result<(Option<Address>, Wire, Vec<Value>), LogError> {
    let (at, mut connection) = upstream.open().await?;
    let answers = connection.values(commands).await?;
    Ok((at, connection, answers))
}
