//! A canary: a signed message every few seconds, on its own stream. It measures the path to Redis
//! and back while nothing is revoked.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caracal_revocation_event::{CANARY_STREAM, KeyRing, StreamId, sign_canary};
use metrics::{Counter, Gauge, Histogram};
use redis::Pipeline;
use tokio::time::{Instant, sleep_until, timeout};

use crate::acl;
use crate::connection::Connection;
use crate::log_error::LogError;
use crate::metrics::{canaries_lost, canary_age, canary_lag, describe_canary};
use crate::redis_reply as reply;
use crate::settings::Settings;
use crate::topology::Topology;
use caracal_revocation_state::internal::Episode;

/// The default interval between two canaries.
const EVERY: Duration = Duration::from_secs(5);
/// The approximate length that the stream of canaries is trimmed to.
const CANARY_MAX_LEN: u64 = 100;

/// Publishes canaries and reads them back, on two connections of its own.
///
/// A canary is signed in the same canonical form as any message, and changes no state. It uses none
/// of the contract's streams, so its user needs only the rights of
/// [`acl::CANARY`](crate::acl::CANARY).
///
/// ```no_run
/// # use caracal_revocation_stream::{Canary, Follower, Settings};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::from_env()?;
/// let canary = Canary::new(&settings).spawn();
/// // A service that should get no requests while revocations would not reach it:
/// // Operations::new(revocations).ready_if("canary", move || canary.is_alive())
/// # assert!(!canary.is_alive());
/// # Ok(())
/// # }
/// ```
///
/// The canary is alive while one was seen within the last three periods. Before the first one it is
/// not alive.
#[derive(Debug)]
#[must_use = "a canary does nothing until it runs: call spawn or run"]
pub struct Canary {
    topology: Topology,
    keys: KeyRing,
    replica: String,
    every: Duration,
    status: CanaryStatus,
}

/// The status of a canary: when one was last seen. Clones share it.
#[derive(Clone, Debug)]
pub struct CanaryStatus(Arc<LastSeen>);

#[derive(Debug)]
struct LastSeen {
    /// The time at which the last canary was seen.
    last: Mutex<Option<Instant>>,
    alive_for: Duration,
}

struct CanaryMetrics {
    published: Histogram,
    seen: Histogram,
    age: Gauge,
    lost: Counter,
}

impl Canary {
    /// Creates a canary that is sent every 5 seconds to the servers of these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            topology: settings.topology.clone(),
            keys: settings.keys.clone(),
            replica: uuid::Uuid::now_v7().to_string(),
            every: EVERY,
            status: CanaryStatus::expecting(EVERY),
        }
    }

    /// Sets the interval between two canaries; at least 10 ms.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(10));
        self.status = CanaryStatus::expecting(self.every);
        self
    }

    /// Starts the canary as a task of the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> CanaryStatus {
        let status = self.status.clone();
        tokio::spawn(self.run(pending()));
        status
    }

    /// Publishes canaries until `shutdown` completes. Does not end before that.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let metrics = CanaryMetrics::register();
        let mut shutdown = pin!(shutdown);
        let mut connections = None;
        let mut count = 0_u64;
        let began = Instant::now();
        let mut failures = Episode::default().over_after(self.every);
        let mut missed = 0_u64;
        loop {
            let next = Instant::now() + self.every;
            count += 1;
            let send = async {
                match timeout(self.every, self.send(&mut connections, count, &metrics)).await {
                    Ok(sent) => sent,
                    Err(_) => Err(LogError::Deadline(self.every)),
                }
            };
            let sent = tokio::select! {
                biased;
                () = &mut shutdown => return,
                sent = send => sent,
            };
            if let Err(error) = sent {
                // A late answer may still arrive, and would count as the next one.
                connections = None;
                metrics.lost.increment(1);
                missed += 1;
                if failures.goes_on((), began.elapsed()) {
                    let rights = error.is_forbidden().then_some(acl::CANARY);
                    tracing::warn!(
                        %error, rights,
                        "a canary was not seen in time: revocations may be late too; check Redis \
                         with caracal-streams doctor"
                    );
                }
            } else if failures.is_over(began.elapsed()) {
                tracing::info!(
                    missed = std::mem::take(&mut missed),
                    "canaries are seen in time again"
                );
            }
            metrics.age.set(self.status.age().map_or(-1.0, |age| age.as_secs_f64()));
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = sleep_until(next) => {}
            }
        }
    }

    /// Sends one canary, and returns once it was read back and verified. Retries once on new
    /// connections if the old ones were closed, for example by an idle limit.
    async fn send(
        &self,
        connections: &mut Option<Connections>,
        count: u64,
        metrics: &CanaryMetrics,
    ) -> Result<(), LogError> {
        let sent = match connections.take() {
            Some(open) => Some(self.send_on(open, count, metrics).await),
            None => None,
        };
        let open = match sent {
            Some(sent) if !sent.as_ref().is_err_and(LogError::is_closed) => sent?,
            _ => self.send_on(Connections::open(&self.topology).await?, count, metrics).await?,
        };
        *connections = Some(open);
        Ok(())
    }

    /// Sends one canary on these connections, and reads until it arrives.
    async fn send_on(
        &self,
        mut open: Connections,
        count: u64,
        metrics: &CanaryMetrics,
    ) -> Result<Connections, LogError> {
        let count = count.to_string();
        let mut fields =
            vec![("replica".to_owned(), self.replica.clone()), ("count".to_owned(), count.clone())];
        if let Some(key) = self.keys.signing_key() {
            sign_canary(key, &mut fields);
        }
        let mut add = Pipeline::new();
        let command = add.cmd("XADD").arg(CANARY_STREAM);
        command.arg("MAXLEN").arg("~").arg(CANARY_MAX_LEN).arg("*");
        for (name, value) in &fields {
            command.arg(name).arg(value);
        }

        let sent = Instant::now();
        let Connections { writing, reading, cursor } = &mut open;
        let publish = async {
            writing.run(&add).await?;
            metrics.published.record(sent.elapsed().as_secs_f64());
            Ok::<_, LogError>(())
        };
        // The read is sent before the message, as a follower's read is.
        let wait_for_entry = wait_for_entry(reading, cursor, self.every, |fields| {
            fields.contains(&(b"replica", self.replica.as_bytes()))
                && fields.contains(&(b"count", count.as_bytes()))
                && self.keys.verify_canary(fields).is_ok()
        });
        tokio::try_join!(biased; wait_for_entry, publish)?;
        metrics.seen.record(sent.elapsed().as_secs_f64());
        self.status.record_seen();
        Ok(open)
    }
}

/// The two connections, and the cursor of the reads.
struct Connections {
    writing: Connection,
    reading: Connection,
    cursor: StreamId,
}

impl Connections {
    async fn open(topology: &Topology) -> Result<Self, LogError> {
        let mut writing = topology.open(CANARY_STREAM).await?;
        let reading = topology.open(CANARY_STREAM).await?;
        let mut commands = Pipeline::new();
        commands.cmd("TIME");
        let time = reply::time(&reply::checked(writing.run(&commands).await?.into_iter().next())?)?;
        // Begins one millisecond earlier, so that an id of this millisecond is read.
        let before = time.as_millis().saturating_sub(1);
        let cursor = StreamId::new(u64::try_from(before).unwrap_or(0), 0);
        Ok(Self { writing, reading, cursor })
    }
}

/// Reads until an entry satisfies `is_expected`.
async fn wait_for_entry(
    reading: &mut Connection,
    cursor: &mut StreamId,
    wait: Duration,
    is_expected: impl Fn(&[(&[u8], &[u8])]) -> bool,
) -> Result<(), LogError> {
    loop {
        let mut read = Pipeline::new();
        let block = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        let command = read.cmd("XREAD").arg("COUNT").arg(CANARY_MAX_LEN).arg("BLOCK").arg(block);
        command.arg("STREAMS").arg(CANARY_STREAM).arg(cursor.to_string());
        let answer = reply::checked(reading.query(&read, wait).await?.into_iter().next())?;
        for (id, fields) in reply::entries_of_one(answer)? {
            *cursor = id;
            if is_expected(&fields.borrowed()) {
                return Ok(());
            }
        }
    }
}

impl CanaryStatus {
    fn expecting(every: Duration) -> Self {
        Self(Arc::new(LastSeen { last: Mutex::default(), alive_for: every * 3 }))
    }

    /// Returns `true` if a canary was seen within the last three periods.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.age().is_some_and(|age| age <= self.0.alive_for)
    }

    /// Returns the time since the last canary was seen.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }

    fn record_seen(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Reports an infinite age, since no canary is sent any more.
impl Drop for CanaryMetrics {
    fn drop(&mut self) {
        self.age.set(f64::INFINITY);
    }
}

impl CanaryMetrics {
    fn register() -> Self {
        describe_canary();
        Self {
            published: canary_lag("published"),
            seen: canary_lag("seen"),
            age: canary_age(),
            lost: canaries_lost(),
        }
    }
}
