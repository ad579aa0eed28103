//! What happened in one schedule, as the checker reads it: recorded, never judged.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::At;

/// Everything that the checker knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    #[serde(default)]
    pub seed: u64,
    pub promise: Promise,
    /// Unix time at `At(0)`, in microseconds.
    pub unix_start: u64,
    pub readers: Vec<ReaderLife>,
    /// By number: `Request::token` and `Revocation::token` point here.
    pub tokens: Vec<Token>,
    pub revocations: Vec<Revocation>,
    pub faults: Vec<Injected>,
    pub requests: Vec<Request>,
    #[serde(default)]
    pub probes: Vec<Probe>,
    pub lateness: Vec<Late>,
}

/// What is held against the history.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// Nothing is excepted.
    pub strict: bool,
    /// With a second source of truth: how soon after a recovery it has been read.
    #[serde(default)]
    pub reload: Option<Duration>,
    /// The staleness bound.
    pub bound: Duration,
    /// How soon all is well after Redis is back.
    pub recovery: Duration,
    /// How far beyond a hole tokens are refused.
    pub margin: Duration,
    /// What a schedule must have had to count for anything.
    pub minimum: Minimum,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Minimum {
    pub seconds: u64,
    pub faults: usize,
    pub revocations: usize,
    pub requests: usize,
}

/// One process that answered requests, from its start to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReaderLife {
    /// Which of the readers; a restarted one keeps its number.
    pub reader: usize,
    pub pid: u32,
    /// Up to when, at least, it remembers what the process before it had refused.
    #[serde(default)]
    pub recalled: Option<At>,
    /// The stream keys that it accepts, by number.
    #[serde(default = "first_key")]
    pub keys: Vec<usize>,
    /// Until this time nothing proves its view: it must admit nobody and must not be ready.
    #[serde(default)]
    pub unproven_until: At,
    /// When it listened for requests.
    pub started: At,
    /// When it was killed; `None` for the last of its line.
    pub ended: Option<At>,
    /// It ended by itself.
    pub died: bool,
}

fn first_key() -> Vec<usize> {
    vec![0]
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Unix time in seconds.
    pub iat: i64,
}

/// A revocation, as its publisher saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revocation {
    pub token: usize,
    /// Which anchor of the token, on which stream.
    pub what: String,
    /// Before the first attempt: from here on it may be known.
    pub attempted: At,
    /// Redis had acknowledged it: from here the bound counts.
    pub acked: Option<At>,
    /// The id that Redis gave it.
    pub id: Option<String>,
    /// The number of the stream key that signed it.
    #[serde(default)]
    pub key: usize,
    /// It is not in its stream any more.
    pub loss: Option<Loss>,
}

impl Revocation {
    /// Which stream it was published on.
    pub fn stream(&self) -> &str {
        self.what.split('(').next().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When the fault that lost it began.
    pub at: At,
    pub how: Lost,
    /// When the fault began after which the stream's counters no longer tell.
    pub untraced: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lost {
    /// The server acknowledged it and lost it: a crash, a failover.
    ByServer,
    /// Everything was wiped, counters and all.
    Wiped,
    /// Trimmed or deleted: the stream's counters tell, until something wipes them too.
    Removed,
}

/// A fault that was injected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Injected {
    pub kind: String,
    pub what: String,
    pub scope: Scope,
    pub began: At,
    /// When the fault was over, and that was seen: Redis answers, the link is open.
    pub ended: At,
    /// Readers in scope were cut off from Redis meanwhile.
    pub disturbs: bool,
    /// Whose knowledge may have a hole by it.
    pub hole: Hole,
    /// The server's ids ran ahead of its clock afterwards.
    pub ids_ahead: bool,
    /// The streams were gone afterwards, until the next message.
    #[serde(default)]
    pub wipes: bool,
    /// It added messages that no key has signed.
    #[serde(default)]
    pub forges: bool,
    /// It left a large message at the head of a stream.
    #[serde(default)]
    pub enlarges: bool,
    /// What was seen of its effect; `None` if nothing was.
    pub effect: Option<String>,
}

/// Who may be right to say that messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hole {
    Nobody,
    /// Readers that had not read the history when the fault began.
    Newcomers,
    Everyone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    Everyone,
    Reader(usize),
}

impl Scope {
    pub fn includes(self, reader: usize) -> bool {
        match self {
            Self::Everyone => true,
            Self::Reader(only) => only == reader,
        }
    }
}

/// A request and its answer, as the client saw them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Index into [`History::readers`].
    pub life: usize,
    pub token: usize,
    pub sent: At,
    pub received: At,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Admitted,
    Revoked,
    HistoryIncomplete,
    /// 503: the last proof is older than the bound.
    Stale,
    /// 503: there has been no proof yet.
    NotReady,
    /// Any other answer: none is expected.
    Other(String),
    /// The connection failed, or nothing came in time.
    None,
}

/// A readiness probe and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// Index into [`History::readers`].
    pub life: usize,
    pub sent: At,
    pub received: At,
    /// Why the reader is not ready; `None` if it is.
    pub unready: Option<String>,
}

/// How much later than planned this machine ran a thread of ours.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Late {
    pub at: At,
    pub by: Duration,
}
