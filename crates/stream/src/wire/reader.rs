//! The connection that reads the streams, without copying entries.
//!
//! The redis crate creates a value for each field of each entry. Reading half a million entries
//! that way took four times as long as all the work on them (`cargo bench --bench streams`). So
//! this connection has its own reader. The redis crate still builds the commands, and serves all
//! other connections.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis::{ConnectionInfo, Pipeline, Value, parse_redis_value};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout_at;

use crate::limits::{ANSWER_DEADLINE, CONNECT_DEADLINE, within};
use crate::log_error::LogError;

use super::receive_deadline::ReceiveDeadline;
use super::scan::{Bounds, Scan};
use super::transport::{self, Certificates, Transport};

/// The smallest read from the operating system, in bytes.
const ROOM: usize = 64 << 10;

/// The largest answer that the buffer keeps space for. Longer ones are rare.
const LARGE: usize = 4 << 20;

/// The largest message that is kept: the bytes of an entry's fields on the wire.
///
/// The contract names no limit. The longest messages list the ids of edges that expired together.
/// This limit leaves space for 100,000 ids.
pub(crate) const MAX_MESSAGE: usize = 4 << 20;

/// The largest number of bytes that is kept of the answers to one write.
const MAX_ANSWERS: usize = 32 << 20;

/// The bounds for `XREAD`. An answer is a list of streams. Each stream is a list of its name and
/// its entries, and each entry is a list of its id and its fields.
pub(super) const ENTRIES: Bounds = Bounds { depth: 4, bytes: MAX_MESSAGE, all: MAX_ANSWERS };
/// The bounds for `XRANGE`, whose answer has no list of streams.
pub(super) const RANGE: Bounds = Bounds { depth: 2, ..ENTRIES };
/// The bounds for `XINFO STREAM`. Its answer repeats complete entries among the counters, which are
/// not read.
pub(super) const COUNTERS: Bounds = Bounds { depth: 1, bytes: 4 << 10, all: MAX_ANSWERS };
pub(super) const EVERYTHING: Bounds =
    Bounds { depth: usize::MAX, bytes: usize::MAX, all: MAX_ANSWERS };

const CLOSED: LogError = LogError::Reply("there is no open connection");

/// A connection that closes if an answer is late or cannot be parsed.
pub(crate) struct Wire {
    /// `None` while a late answer may still arrive, which would count as the next one.
    transport: Option<Box<dyn Transport>>,
    buffer: BytesMut,
    /// The length of the last answers. The next ones may be as long.
    last: usize,
    /// The number of answers that are due.
    owed: usize,
    /// The position at which receiving stopped, if it failed.
    stopped: Option<Stopped>,
}

/// The answers to all commands of one write.
#[derive(Debug)]
pub(crate) struct Received {
    /// The bytes that were kept.
    pub(crate) bytes: Bytes,
    /// The size of each answer on the wire.
    pub(crate) sizes: Sizes,
    /// The time until the last byte.
    pub(crate) took: Duration,
    /// The longest time without a byte.
    pub(crate) silence: Duration,
}

pub(crate) type Sizes = SmallVec<[u64; 16]>;

/// The position in the answers at which receiving stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// The number of complete answers before it.
    pub(crate) answers: usize,
    /// The number of bytes of the incomplete answer.
    pub(crate) size: u64,
    /// The bytes of it that were kept.
    pub(crate) bytes: Bytes,
}

/// The parts of the answers to one write that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of them.
    Everything,
    /// The counters of a stream in each answer.
    Counters,
    /// The entries of the last answer, and the counters in all others.
    Entries,
    /// The entries of one stream in each answer, without its name.
    Range,
}

impl Keep {
    const fn bounds(self, is_last: bool) -> Bounds {
        match self {
            Self::Everything => EVERYTHING,
            Self::Entries if is_last => ENTRIES,
            Self::Range => RANGE,
            Self::Entries | Self::Counters => COUNTERS,
        }
    }
}

impl Wire {
    /// Connects and logs in.
    pub(crate) async fn open(
        server: &ConnectionInfo,
        certificates: &Certificates,
    ) -> Result<Self, LogError> {
        let connect = transport::connect(server, certificates);
        let transport = within(CONNECT_DEADLINE, connect).await?;
        let mut wire = Self {
            transport: Some(transport),
            buffer: BytesMut::new(),
            last: 0,
            owed: 0,
            stopped: None,
        };
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
                crate::redis_reply::checked(Some(answer))?;
            }
        }
        Ok(wire)
    }

    /// Sends commands in one write. [`Wire::receive`] returns their answers.
    ///
    /// Dropping this future before it completes closes the connection.
    pub(crate) async fn send(&mut self, commands: &Pipeline) -> Result<(), LogError> {
        let mut transport = self.transport.take().ok_or(CLOSED)?;
        let bytes = commands.get_packed_pipeline();
        let sending = async { transport.write_all(&bytes).await.map_err(transport::unreachable) };
        within(ANSWER_DEADLINE, sending).await?;
        self.owed += commands.len();
        self.transport = Some(transport);
        Ok(())
    }

    /// Receives the answers to all commands that were sent. Each byte renews the deadline, unless
    /// bytes arrive very slowly.
    ///
    /// Dropping this future before it completes closes the connection.
    pub(crate) async fn receive(
        &mut self,
        deadline: Duration,
        keep: Keep,
    ) -> Result<Received, LogError> {
        let mut transport = self.transport.take().ok_or(CLOSED)?;
        let answers = self.answers(&mut transport, ReceiveDeadline::new(deadline), keep).await?;
        self.transport = Some(transport);
        Ok(answers)
    }

    /// Returns the position at which receiving stopped, after it failed.
    pub(crate) fn stopped(&mut self) -> Option<Stopped> {
        self.stopped.take()
    }

    /// Sends commands while a connection is opened, and returns each answer as a value, error
    /// answers included.
    pub(crate) async fn values(&mut self, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.send(commands).await?;
        let answers = self.receive(CONNECT_DEADLINE, Keep::Everything).await?;
        let mut rest = answers.bytes.as_ref();
        let mut values = Vec::with_capacity(commands.len());
        for size in answers.sizes {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let (answer, others) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            let unparsable = |_| LogError::Reply("a value cannot be parsed");
            values.push(parse_redis_value(answer).map_err(unparsable)?);
            rest = others;
        }
        Ok(values)
    }

    async fn answers(
        &mut self,
        transport: &mut Box<dyn Transport>,
        mut deadline: ReceiveDeadline,
        keep: Keep,
    ) -> Result<Received, LogError> {
        let owed = std::mem::take(&mut self.owed);
        let (mut end, mut sizes) = (0, Sizes::new());
        for answer in 1..=owed {
            let mut scan = Scan::from(end, keep.bounds(answer == owed));
            match self.answer(transport, &mut deadline, &mut scan).await {
                Ok(at) => {
                    sizes.push(scan.received(&self.buffer));
                    end = at;
                }
                Err(error) => {
                    let size = scan.received(&self.buffer);
                    let bytes = self.buffer.split_off(end.min(self.buffer.len())).freeze();
                    self.stopped = Some(Stopped { answers: answer - 1, size, bytes });
                    return Err(error);
                }
            }
        }
        self.last = end.min(LARGE);
        let bytes = self.buffer.split_to(end).freeze();
        if end > LARGE && self.buffer.is_empty() {
            // These bytes own the memory of the large answer, and free it.
            self.buffer = BytesMut::new();
        }
        Ok(Received { bytes, sizes, took: deadline.took(), silence: deadline.silence() })
    }

    /// Receives one answer, and returns the position of its end.
    async fn answer(
        &mut self,
        transport: &mut Box<dyn Transport>,
        deadline: &mut ReceiveDeadline,
        scan: &mut Scan,
    ) -> Result<usize, LogError> {
        loop {
            if let Some(end) = scan.end(&mut self.buffer)? {
                return Ok(end);
            }
            self.more(transport, deadline).await?;
        }
    }

    async fn more(
        &mut self,
        transport: &mut Box<dyn Transport>,
        deadline: &mut ReceiveDeadline,
    ) -> Result<(), LogError> {
        if self.buffer.capacity() - self.buffer.len() < ROOM / 4 {
            self.buffer.reserve(ROOM.max(self.last.saturating_sub(self.buffer.len())));
        }
        let until = deadline.until();
        // rule: answer-has-deadline
        let receiving = timeout_at(until, transport.read_buf(&mut self.buffer)).await;
        let received = receiving.map_err(|_| LogError::Deadline(deadline.silence_limit))?;
        match received.map_err(transport::unreachable)? {
            0 => {
                let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                Err(transport::unreachable(ended))
            }
            bytes => {
                deadline.received(bytes);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("is_open", &self.transport.is_some()).finish_non_exhaustive()
    }
}
