//! The log on a real Redis: one connection, read by `XREAD`, nothing shared with anybody.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, Pipeline, RedisError, Value};

use crate::log::{Head, Log, LogError, PerStream, Reading};
use crate::persistence;
use crate::redis_reply as reply;

/// What an answer may take beyond the time that the server was asked to wait.
const GRACE: Duration = Duration::from_secs(2);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// At most so many entries a stream and answer, and fewer where they are large.
const MAX_COUNT: usize = 1_000;
const FIRST_COUNT: usize = 100;
/// An answer larger than this makes the next one smaller.
const COMFORTABLE_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct RedisLog {
    server: ConnectionInfo,
    connection: Option<MultiplexedConnection>,
    count: usize,
    /// What was last said of the server's persistence settings, to say it once.
    warned: Vec<String>,
}

impl RedisLog {
    pub(crate) fn new(server: ConnectionInfo) -> Self {
        Self {
            server: low_latency(server),
            connection: None,
            count: FIRST_COUNT,
            warned: Vec::new(),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, LogError> {
        install_crypto();
        let client = Client::open(self.server.clone()).map_err(|error| refused(&error))?;
        // The crate's own response timeout would also cut blocking reads short: deadlines are set
        // here, around each command.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(None);
        within(CONNECT_DEADLINE, client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// Sends one write and takes all its answers, errors among them.
    ///
    /// A late or cancelled command drops the connection: its answer may still be on its way, and
    /// would be taken for the next one's.
    async fn ask(&mut self, commands: &Pipeline, wait: Duration) -> Result<Vec<Value>, LogError> {
        let mut connection =
            self.connection.take().ok_or(LogError::Reply("there is no open connection"))?;
        let answers =
            within(wait + GRACE, connection.send_packed_commands(commands, 0, commands.len()))
                .await?;
        self.connection = Some(connection);
        Ok(answers)
    }

    async fn inspect(&mut self) -> Result<Duration, LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("TIME").cmd("INFO").arg("server");
        persistence::ask(&mut commands);
        let answers = self.ask(&commands, Duration::ZERO).await?;
        let mut answers = answers.into_iter();
        let time = reply::time(&reply::sound(answers.next())?)?;
        let info = reply::text(&reply::sound(answers.next())?)?;
        let version = reply::info_field(&info, "redis_version").unwrap_or("of unknown version");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(LogError::Version(version.to_owned()));
        }
        persistence::warn(answers, &mut self.warned);
        Ok(time)
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
}

impl Log for RedisLog {
    async fn open(&mut self) -> Result<Duration, LogError> {
        self.connection = Some(self.connect().await?);
        self.inspect().await
    }

    async fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        let commands = read_commands(cursors, self.count, wait);
        let answers = self.ask(&commands, wait.unwrap_or_default()).await?;
        let reading = understand(answers, self.count)?;
        self.adapt(&reading);
        Ok(reading)
    }
}

/// The time, the counters of each stream, and then the read, in one write and in this order: what
/// the counters tell was true before the entries were read.
fn read_commands(cursors: &PerStream<StreamId>, count: usize, wait: Option<Duration>) -> Pipeline {
    let mut commands = Pipeline::with_capacity(Stream::ALL.len() + 2);
    commands.cmd("TIME");
    for stream in Stream::ALL {
        commands.cmd("XINFO").arg("STREAM").arg(stream.name());
    }
    let read = commands.cmd("XREAD").arg("COUNT").arg(count);
    if let Some(wait) = wait {
        // Zero would mean for ever.
        read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    read.arg("STREAMS");
    for stream in Stream::ALL {
        read.arg(stream.name());
    }
    for cursor in cursors {
        read.arg(cursor.to_string());
    }
    commands
}

fn understand(answers: Vec<Value>, count: usize) -> Result<Reading, LogError> {
    let mut answers = answers.into_iter();
    let server_time = reply::time(&reply::sound(answers.next())?)?;
    let mut heads = [Head::Missing; Stream::ALL.len()];
    for head in &mut heads {
        *head = reply::head(answers.next())?;
    }
    let entries = reply::entries(reply::sound(answers.next())?)?;
    let drained = Stream::ALL
        .map(|stream| entries.iter().filter(|entry| entry.stream == stream).count() < count);
    Ok(Reading { server_time, heads, entries, drained })
}

/// Awaits an answer for so long and no longer: only a deadline notices a server that hangs.
async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, LogError> {
    tokio::time::timeout(deadline, answer)
        .await
        .map_err(|_| LogError::Deadline(deadline))?
        .map_err(|error| refused(&error))
}

/// What the redis crate says of an error never holds the password.
fn refused(error: &RedisError) -> LogError {
    LogError::Redis(error.to_string())
}

/// Without this, small writes wait for the acknowledgement of the last one.
pub(crate) fn low_latency(server: ConnectionInfo) -> ConnectionInfo {
    let tcp = server.tcp_settings().clone().set_nodelay(true);
    server.set_tcp_settings(tcp)
}

/// The redis crate leaves the choice of a TLS backend to the process; a service that made one
/// keeps it.
pub(crate) fn install_crypto() {
    #[cfg(feature = "tls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing the race to another thread is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
