//! A connection that entries are read on without being copied.
//!
//! The redis crate makes a value of each field of each entry; reading half a million of them took
//! four times as long as everything that is done with them (`cargo bench --bench streams`). So the
//! one connection that reads the streams has a reader of its own. Commands are still the crate's,
//! and so is every other connection.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis::{ConnectionInfo, Pipeline, Value, parse_redis_value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connection::{CONNECT_DEADLINE, GRACE};
use crate::log::LogError;

pub(crate) use answers::Answers;
use scan::Scan;
pub(crate) use transport::Certificates;
use transport::Transport;

mod answers;
mod scan;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;

/// So much is asked of the system at once, at least.
const ROOM: usize = 64 << 10;

/// Answers that are longer are rare, and no room is kept for them.
const LARGE: usize = 4 << 20;

const CLOSED: LogError = LogError::Reply("there is no open connection");

/// A connection, until an answer on it is late or cannot be read.
pub(crate) struct Wire {
    /// None while an answer may still be on its way that would be taken for the next one's.
    transport: Option<Box<dyn Transport>>,
    buffer: BytesMut,
    /// How long the last answers were: the next ones may be as long.
    last: usize,
    /// How many answers are still to come.
    owed: usize,
}

impl Wire {
    /// Connects and logs in.
    pub(crate) async fn open(
        server: &ConnectionInfo,
        certificates: &Certificates,
    ) -> Result<Self, LogError> {
        let connect = transport::connect(server, certificates);
        let transport = within(CONNECT_DEADLINE, connect).await?;
        let mut wire =
            Self { transport: Some(transport), buffer: BytesMut::new(), last: 0, owed: 0 };
        let login = server.redis_settings();
        let mut commands = Pipeline::new();
        if let Some(password) = login.password() {
            let auth = commands.cmd("AUTH");
            if let Some(user) = login.username() {
                auth.arg(user);
            }
            auth.arg(password);
        }
        if login.db() != 0 {
            commands.cmd("SELECT").arg(login.db());
        }
        if !commands.is_empty() {
            for answer in wire.values(&commands).await? {
                crate::redis_reply::sound(Some(answer))?;
            }
        }
        Ok(wire)
    }

    /// Sends commands in one write, for [`Wire::receive`] to take their answers.
    ///
    /// Whoever drops this future before it is done drops the connection with it.
    pub(crate) async fn send(&mut self, commands: &Pipeline) -> Result<(), LogError> {
        let mut transport = self.transport.take().ok_or(CLOSED)?;
        let bytes = commands.get_packed_pipeline();
        let sending = async { transport.write_all(&bytes).await.map_err(transport::unreachable) };
        within(GRACE, sending).await?;
        self.owed += commands.len();
        self.transport = Some(transport);
        Ok(())
    }

    /// Receives the answers to all that was sent, if they are here in time.
    ///
    /// Whoever drops this future before it is done drops the connection with it.
    pub(crate) async fn receive(&mut self, deadline: Duration) -> Result<Bytes, LogError> {
        let mut transport = self.transport.take().ok_or(CLOSED)?;
        let answers = within(deadline, self.answers(&mut transport)).await?;
        self.transport = Some(transport);
        Ok(answers)
    }

    /// Both, for what is asked while a connection is opened: each answer as a value, errors among
    /// them.
    pub(crate) async fn values(&mut self, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.send(commands).await?;
        let answers = self.receive(CONNECT_DEADLINE).await?;
        let mut rest = answers.as_ref();
        let mut values = Vec::with_capacity(commands.len());
        while let Some(end) = Scan::from(0).end(rest)?.filter(|end| *end > 0 && !rest.is_empty()) {
            let (answer, others) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let unlike = |_| LogError::Reply("it cannot be read");
            values.push(parse_redis_value(answer).map_err(unlike)?);
            rest = others;
        }
        Ok(values)
    }

    async fn answers(&mut self, transport: &mut Box<dyn Transport>) -> Result<Bytes, LogError> {
        let mut end = 0;
        for _ in 0..std::mem::take(&mut self.owed) {
            let mut scan = Scan::from(end);
            end = loop {
                if let Some(end) = scan.end(&self.buffer)? {
                    break end;
                }
                self.more(transport).await?;
            };
        }
        self.last = end.min(LARGE);
        let answers = self.buffer.split_to(end).freeze();
        if end > LARGE && self.buffer.is_empty() {
            // The memory that they took is theirs, and goes with them.
            self.buffer = BytesMut::new();
        }
        Ok(answers)
    }

    async fn more(&mut self, transport: &mut Box<dyn Transport>) -> Result<(), LogError> {
        if self.buffer.capacity() - self.buffer.len() < ROOM / 4 {
            self.buffer.reserve(ROOM.max(self.last.saturating_sub(self.buffer.len())));
        }
        let received = transport.read_buf(&mut self.buffer).await;
        match received.map_err(transport::unreachable)? {
            0 => {
                let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                Err(transport::unreachable(ended))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("is_open", &self.transport.is_some()).finish_non_exhaustive()
    }
}

/// Awaits something for so long and no longer: only a deadline notices a server that hangs.
async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    tokio::time::timeout(deadline, answer).await.map_err(|_| LogError::Deadline(deadline))?
}
