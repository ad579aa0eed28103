//! Writes uses to Redis: all that wait, in one pipeline.
//!
//! `SET … NX` is not idempotent: sent twice, it reports its own record as a replay. So a command is
//! sent again only if its answer is an error, or if the connection was closed. In the second case,
//! "already there" is no answer.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_state::internal::{CALM, Episode};
use caracal_revocation_state::{OutageCause, UseOutcome};
use redis::{Pipeline, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::acl;
use crate::limits::USE_DEADLINE;
use crate::log_error::LogError;
use crate::redis_reply as reply;
use crate::topology::{Address, Links, Topology};

/// The prefix of the keys (contract, "Single use").
pub(super) const PREFIX: &str = "seen:jti:";

/// The largest number of uses in one pipeline.
const MOST_AT_ONCE: usize = 512;

/// A use that waits to be recorded.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) key: String,
    pub(super) request_id: String,
    pub(super) time_to_live: Duration,
    pub(super) answer: oneshot::Sender<Result<UseOutcome, LogError>>,
    /// `true` if the use may be recorded already, because the connection was closed before an
    /// answer arrived.
    pub(super) may_be_own: bool,
}

/// Records uses until the queue ends.
pub(super) async fn write_uses(topology: Topology, mut queue: mpsc::Receiver<Waiting>) {
    let is_one = matches!(topology, Topology::One(_));
    let (links, failures) = (Links::new(topology), Episode::default().over_after(CALM));
    let mut writer = Writer { links, is_one, failures, began: Instant::now() };
    // Opened now, so that the first request need not wait, and so that an outage is logged early.
    if let Err(error) = writer.links.to(PREFIX).await {
        writer.failed(&error);
    }
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        // A request that no longer waits was denied: its mandate stays unused.
        batch.retain(|waiting| !waiting.answer.is_closed());
        writer.record(std::mem::take(&mut batch)).await;
    }
}

struct Writer {
    links: Links,
    is_one: bool,
    failures: Episode,
    began: Instant,
}

impl Writer {
    async fn record(&mut self, batch: Vec<Waiting>) {
        let again = self.attempt(batch, true).await;
        if !again.is_empty() {
            self.links.close();
            self.attempt(again, false).await;
        }
    }

    /// Sends each use to its server, and answers. Returns the uses to send once more.
    async fn attempt(&mut self, batch: Vec<Waiting>, may_repeat: bool) -> Vec<Waiting> {
        let mut servers: HashMap<Option<Address>, Vec<Waiting>> = HashMap::new();
        let mut batch = batch.into_iter();
        while let Some(waiting) = batch.next() {
            match self.links.owner(&waiting.key).await {
                Ok(server) => servers.entry(server).or_default().push(waiting),
                Err(error) => {
                    // The next lookup would fail too, after as long a wait.
                    let rest = [waiting].into_iter().chain(batch);
                    self.fail(rest, &error);
                    break;
                }
            }
        }
        let mut again = Vec::new();
        for (server, uses) in servers {
            again.extend(self.attempt_at(server, uses, may_repeat).await);
        }
        again
    }

    async fn attempt_at(
        &mut self,
        server: Option<Address>,
        mut uses: Vec<Waiting>,
        may_repeat: bool,
    ) -> Vec<Waiting> {
        let connection = match self.links.at(server).await {
            Ok(connection) => connection,
            Err(error) => {
                self.fail(uses, &error);
                return Vec::new();
            }
        };
        match connection.query_within(USE_DEADLINE, &commands(&uses)).await {
            Ok(answers) => self.answer(uses, answers, may_repeat),
            Err(error) if error.is_closed() && may_repeat => {
                uses.iter_mut().for_each(|waiting| waiting.may_be_own = true);
                uses
            }
            Err(error) => {
                self.fail(uses, &error);
                Vec::new()
            }
        }
    }

    /// Answers each use. Returns those that another server must record.
    fn answer(
        &mut self,
        uses: Vec<Waiting>,
        answers: Vec<Value>,
        may_repeat: bool,
    ) -> Vec<Waiting> {
        let mut again = Vec::new();
        let mut answers = answers.into_iter();
        for waiting in uses {
            match outcome(answers.next(), waiting.may_be_own) {
                Ok(outcome) => {
                    // The request may no longer wait.
                    let _ = waiting.answer.send(Ok(outcome));
                    self.succeeded();
                }
                Err(error) if may_repeat && !self.is_one && is_elsewhere(&error) => {
                    again.push(waiting);
                }
                Err(error) => self.fail([waiting], &error),
            }
        }
        again
    }

    fn fail(&mut self, uses: impl IntoIterator<Item = Waiting>, error: &LogError) {
        for waiting in uses {
            let _ = waiting.answer.send(Err(error.clone()));
        }
        self.failed(error);
        // A late answer may still arrive, and another server may be the primary by now.
        self.links.close();
    }

    fn failed(&mut self, error: &LogError) {
        if self.failures.goes_on((), self.began.elapsed()) {
            let rights = error.is_forbidden().then_some(acl::SINGLE_USE);
            tracing::warn!(
                %error, rights,
                "used mandates cannot be recorded: requests with mandates for one use are denied, \
                 unless their layer fails open; trying again"
            );
        }
    }

    fn succeeded(&mut self) {
        if self.failures.is_over(self.began.elapsed()) {
            tracing::info!("used mandates are being recorded again");
        }
    }
}

fn commands(uses: &[Waiting]) -> Pipeline {
    let mut commands = Pipeline::new();
    for Waiting { key, request_id, time_to_live, .. } in uses {
        // Redis rejects a time of zero.
        let millis = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX).max(1);
        commands.cmd("SET").arg(key).arg(request_id).arg("NX").arg("PX").arg(millis);
    }
    commands
}

/// Reads the answer to `SET … NX`. Anything unexpected is an error.
fn outcome(answer: Option<Value>, may_be_own: bool) -> Result<UseOutcome, LogError> {
    match reply::checked(answer)? {
        Value::Okay => Ok(UseOutcome::First),
        Value::Nil if may_be_own => {
            let message = "the connection was closed while the use was being recorded".into();
            Err(LogError::Connection(OutageCause::Unreachable, message))
        }
        Value::Nil => Ok(UseOutcome::Replayed),
        _ => Err(LogError::Reply("SET is not answered as expected")),
    }
}

/// Returns `true` if another server may accept the write.
fn is_elsewhere(error: &LogError) -> bool {
    matches!(error.outage(), OutageCause::Moved | OutageCause::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_is_a_first_use_and_only_nil_a_replay() {
        assert_eq!(outcome(Some(Value::Okay), false), Ok(UseOutcome::First));
        assert_eq!(outcome(Some(Value::Okay), true), Ok(UseOutcome::First));
        assert_eq!(outcome(Some(Value::Nil), false), Ok(UseOutcome::Replayed));
        for (answer, may_be_own) in [
            (None, false),
            (Some(Value::Nil), true),
            (Some(Value::Int(1)), false),
            (Some(Value::SimpleString("QUEUED".into())), false),
            (Some(Value::BulkString(b"OK".to_vec())), false),
        ] {
            assert!(outcome(answer.clone(), may_be_own).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn time_to_live_is_never_zero() {
        let (answer, _) = oneshot::channel();
        let waiting = Waiting {
            key: "seen:jti:1".into(),
            request_id: "r".into(),
            time_to_live: Duration::ZERO,
            answer,
            may_be_own: false,
        };
        let packed = commands(&[waiting]).get_packed_pipeline();
        let text = String::from_utf8(packed).unwrap();
        assert!(text.ends_with("$2\r\nNX\r\n$2\r\nPX\r\n$1\r\n1\r\n"), "{text:?}");
    }
}
