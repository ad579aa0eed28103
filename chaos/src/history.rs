//! The recorded history of one schedule, which the checker reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setup::Setup;
use crate::time::At;

/// The complete input of the checker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub setup: Setup,
    pub promise: Promise,
    /// The Unix time at `At(0)`, in microseconds.
    pub unix_start: u64,
    pub readers: Vec<ReaderLife>,
    /// The issued tokens. `Request::token` and `Revocation::token` are indices into this list.
    pub tokens: Vec<Token>,
    pub revocations: Vec<Revocation>,
    pub faults: Vec<Injected>,
    pub requests: Vec<Request>,
    #[serde(default)]
    pub probes: Vec<Probe>,
    #[serde(default)]
    pub held: Vec<Held>,
    pub lateness: Vec<Late>,
}

/// The promise that the history is checked against.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// `true` in strict mode: no loss is excused.
    pub strict: bool,
    /// The time after a recovery within which readers read the baseline; `None` without one.
    #[serde(default)]
    pub reload: Option<Duration>,
    /// The staleness bound.
    pub bound: Duration,
    /// The time after which readers have recovered once Redis is back.
    pub recovery: Duration,
    /// The time after a gap for which newly issued tokens are still denied.
    pub margin: Duration,
    /// The minimum content of a schedule. One with less shows nothing.
    pub minimum: Minimum,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Minimum {
    pub seconds: u64,
    pub faults: usize,
    pub revocations: usize,
    pub requests: usize,
}

/// One reader process, from its start to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReaderLife {
    /// The number of the reader. A restarted reader keeps it.
    pub reader: usize,
    pub pid: u32,
    /// The time up to which the snapshot that it started with has the denials of the previous
    /// process.
    #[serde(default)]
    pub recalled: Option<At>,
    /// The stream keys that it accepts, by number.
    #[serde(default = "first_key")]
    pub keys: Vec<usize>,
    /// The time until which nothing proves its view: it must deny every request and not be ready.
    #[serde(default)]
    pub unproven_until: At,
    /// The time at which it began to listen for requests.
    pub started: At,
    /// The time at which its end began: it is killed, or writes its snapshot and exits.
    #[serde(default)]
    pub leaving: Option<At>,
    /// The time at which it had ended; `None` for the last process of a reader.
    pub ended: Option<At>,
    /// `true` if the process ended by itself.
    pub died: bool,
}

impl ReaderLife {
    /// Returns the time from which the process could prove its view.
    pub fn began(&self) -> At {
        let provable = Some(self.unproven_until).filter(|until| *until != At::NEVER);
        self.started.max(provable.unwrap_or_default())
    }
}

fn first_key() -> Vec<usize> {
    vec![0]
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The time at which the token was issued, in Unix seconds.
    pub iat: i64,
    #[serde(default)]
    pub class: Class,
    /// The resume of the token's governed session, if that was suspended before its issue.
    #[serde(default)]
    pub resumed: Option<Resumed>,
}

/// The ways in which a token can be ended, and so the services that it is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// One of its anchors is revoked or suspended. For every service.
    #[default]
    Plain,
    /// The zone's delegation epoch moves. For the resource server.
    Epoch,
    /// Its key is withdrawn. For the resource server.
    Keyed,
    /// The zone's policy denies its session. For the service with a policy.
    Policy,
}

/// The service that a request is sent to, by the layer in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    #[default]
    Gateway,
    Resource,
    Sts,
    /// A gateway with a policy behind it.
    Policy,
    /// The gateway, with a second `Authorization` header that has a good token.
    TwoHeaders,
}

/// The end of a suspension.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// The time at which the acknowledgement of the resume was seen.
    pub acked: At,
    /// The number of the stream key that signed it.
    pub key: usize,
}

/// The streams of a message, by what readers do about a loss in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Readers raise the horizon.
    Authority,
    /// Readers fetch the keys again.
    Keys,
    /// Readers load the policy again.
    Policy,
}

/// A revocation, as recorded by its publisher.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revocation {
    pub token: usize,
    /// The anchor of the token that is revoked, and the stream.
    pub what: String,
    /// The time before the first attempt to publish. From here on a reader may know of it.
    pub attempted: At,
    /// The time at which the acknowledgement by Redis was seen. The bound counts from here.
    pub acked: Option<At>,
    /// The id that Redis assigned.
    pub id: Option<String>,
    /// The number of the stream key that signed it.
    #[serde(default)]
    pub key: usize,
    /// `true` if a writer has re-cut the message, so that its anchor is hidden.
    #[serde(default)]
    pub hidden: bool,
    /// The loss, if the message is no longer in its stream.
    pub loss: Option<Loss>,
}

impl Revocation {
    /// Returns the stream on which it was published.
    pub fn stream(&self) -> &str {
        self.what.split('(').next().unwrap_or_default()
    }

    pub fn group(&self) -> Group {
        match self.stream() {
            "Keys" => Group::Keys,
            "Policy" => Group::Policy,
            _ => Group::Authority,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The start of the fault that lost it.
    pub at: At,
    pub how: Lost,
    /// The start of the fault after which the stream's counters no longer show the loss.
    pub untraced: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lost {
    /// The server acknowledged it and lost it: a crash or a failover.
    ByServer,
    /// Everything was wiped, including the counters.
    Wiped,
    /// Trimmed or deleted. The stream's counters show it until a fault wipes them too.
    Removed,
}

/// A fault that was injected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Injected {
    pub kind: String,
    pub what: String,
    pub scope: Scope,
    pub began: At,
    /// The time at which the end was observed: Redis answers, the link is open.
    pub ended: At,
    /// `true` if readers in scope were cut off from Redis during the fault.
    pub disturbs: bool,
    /// The readers that may detect a gap because of it.
    #[serde(rename = "hole")]
    pub gap: GapScope,
    /// `true` if the server's ids were ahead of its clock afterwards.
    pub ids_ahead: bool,
    /// `true` if the streams were gone afterwards, until the next message.
    #[serde(default)]
    pub wipes: bool,
    /// `true` if the fault added messages that no key has signed.
    #[serde(default)]
    pub forges: bool,
    /// `true` if the fault left a large message at the start of a stream.
    #[serde(default)]
    pub enlarges: bool,
    /// `true` if the processes of readers in scope were stopped during the fault.
    #[serde(default)]
    pub suspends: bool,
    /// `true` if the fault left re-cut messages in a stream.
    #[serde(default)]
    pub recuts: bool,
    /// `true` if another server process took over. Readers then read the streams again.
    #[serde(default)]
    pub takes_over: bool,
    /// `true` if the wall clock of readers in scope was stepped when the fault began and ended.
    #[serde(default)]
    pub steps_clock: bool,
    /// `true` if no proof could reach readers in scope during the fault.
    #[serde(default)]
    pub severs: bool,
    /// The time until which answers to readers in scope were late, after the fault no longer cut them
    /// off.
    #[serde(default)]
    pub slow_until: Option<At>,
    /// The observed effect; `None` if there was no visible effect.
    pub effect: Option<String>,
}

/// The readers that may correctly report missing messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GapScope {
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

/// A request and its answer, as recorded by the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Index into [`History::readers`].
    pub life: usize,
    #[serde(default)]
    pub route: Route,
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
    /// 503: the last completeness proof is older than the bound.
    Stale,
    /// 503: there was no completeness proof yet.
    NotReady,
    /// 503: the zone's policy is too old, or is loaded again after a loss.
    NoPolicy,
    /// 401: the request has two tokens.
    Ambiguous,
    /// Any other answer. No other answer is expected.
    Other(String),
    /// The connection failed, or no answer arrived in time.
    None,
}

/// A response without an end, as recorded by the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Index into [`History::readers`].
    pub life: usize,
    pub token: usize,
    /// The time at which the request was sent.
    pub sent: At,
    /// The time at which the service wrote the last part that arrived.
    pub last: At,
    /// The time at which the response ended; `None` if the client gave it up.
    pub ended: Option<At>,
}

/// Recorded for a probe without an answer.
pub const NO_ANSWER: &str = "no answer";

/// A readiness probe and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// Index into [`History::readers`].
    pub life: usize,
    pub sent: At,
    pub received: At,
    /// The reason why the reader is not ready; `None` if it is ready. [`NO_ANSWER`] if the probe was
    /// not answered.
    pub unready: Option<String>,
}

/// A delay of the heartbeat thread, which the machine ran later than planned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Late {
    pub at: At,
    pub by: Duration,
}
