//! Proves up to which moment a replica's answers are complete, by the replication offset of its
//! primary.
//!
//! A replica does not report the data that it lacks: its link may hang, or bytes that arrive now
//! may have been queued for long. So the primary is asked for its offset on a second connection.
//! Once the replica has reached that offset, it has every entry up to the time of the question.

use std::collections::VecDeque;
use std::time::Duration;

use caracal_revocation_state::{Moment, OutageCause};
use redis::ConnectionInfo;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::identity::Identity;
use crate::limits::{SIDE_DEADLINE, UNPROVEN_AFTER, within};
use crate::log::AsOf;
use crate::log_error::LogError;

/// The pause after a question that the primary did not answer in time. It is short, so that a
/// recovered primary is asked soon.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The largest number of recorded offsets that the replica has not reached yet.
const MAX_OFFSETS: usize = 8;

/// The primary of a replica that is read.
#[derive(Debug)]
pub(crate) struct Primary {
    server: ConnectionInfo,
    connection: Option<Connection>,
    paused_until: Option<Instant>,
    /// The answer to the last question.
    answer: Result<Identity, LogError>,
    /// The time of the last question.
    queried_at: Option<Moment>,
    /// The last moment up to which answers were proven. Until the first proof, the first question.
    proven: Option<Moment>,
    offsets: PrimaryOffsets,
}

/// The offsets of the primary that the replica has not reached yet.
#[derive(Debug, Default)]
struct PrimaryOffsets {
    /// The identity of the primary and the time of each question, oldest first.
    offsets: VecDeque<(Moment, Identity)>,
}

/// Returns the error of a replica whose primary is not configured.
pub(crate) fn not_set() -> LogError {
    let message = "not set, but the server that the follower reads is a replica";
    LogError::Primary(OutageCause::ReplicaWithoutPrimary, message.into())
}

impl Primary {
    pub(crate) fn new(server: ConnectionInfo) -> Self {
        Self {
            server,
            connection: None,
            paused_until: None,
            answer: Err(LogError::Reply("the primary was not asked yet")),
            queried_at: None,
            proven: None,
            offsets: PrimaryOffsets::default(),
        }
    }

    /// Asks the primary for its offset, except during the pause after a failure.
    pub(crate) async fn query(&mut self, now: Moment) {
        self.queried_at = Some(now);
        self.proven.get_or_insert(now);
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.answer = within(SIDE_DEADLINE, self.query_identity()).await;
        match &self.answer {
            Ok(primary) => self.offsets.record(now, primary),
            // A late answer may still arrive, and would count as the next one.
            Err(error) => {
                self.connection = None;
                self.paused_until = Some(Instant::now() + RETRY_PAUSE);
                tracing::debug!(%error, "the primary did not report its replication offset");
            }
        }
    }

    /// Returns the moment up to which answers of this server are complete, and an error if that is
    /// too long ago.
    pub(crate) fn prove_freshness(&mut self, server: &Identity) -> (AsOf, Option<LogError>) {
        let as_of = self.offsets.reached_by(server);
        self.proven = as_of.or(self.proven);
        let is_late = self
            .queried_at
            .zip(self.proven)
            .is_none_or(|(queried_at, proven)| queried_at.elapsed_since(proven) > UNPROVEN_AFTER);
        (as_of.map_or(AsOf::Unknown, AsOf::At), is_late.then(|| self.error(server)))
    }

    /// Returns the reason that nothing newer is proven about this server.
    fn error(&self, server: &Identity) -> LogError {
        let (cause, message) = match &self.answer {
            Err(error) => (error.outage(), error.to_string()),
            Ok(primary) if primary.history != server.history => (
                OutageCause::ReplicaWithoutPrimary,
                "it names a server with other data than the replica that the follower reads".into(),
            ),
            Ok(primary) if primary.is_replica && server.is_replica => (
                OutageCause::ReplicaWithoutPrimary,
                "it names a replica; a primary is expected".into(),
            ),
            Ok(_) => (
                OutageCause::Behind,
                "the replica that the follower reads is behind this primary".into(),
            ),
        };
        LogError::Primary(cause, message)
    }

    async fn query_identity(&mut self) -> Result<Identity, LogError> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.server).await?);
        }
        let connection = self.connection.as_mut().ok_or(LogError::Reply("no connection"))?;
        Identity::query(connection).await
    }
}

impl PrimaryOffsets {
    fn record(&mut self, queried_at: Moment, primary: &Identity) {
        // The oldest offsets are kept, because the replica reaches them first. Under load it might
        // never reach the newest.
        if self.offsets.len() < MAX_OFFSETS {
            self.offsets.push_back((queried_at, primary.clone()));
        }
    }

    /// Returns the time of the last question whose offset this server has reached.
    fn reached_by(&mut self, server: &Identity) -> Option<Moment> {
        // Offsets of another history cannot be compared. Of two servers with the same history, one
        // must be the primary of the other: two replicas do not know their primary's offset.
        self.offsets.retain(|(_, primary)| {
            primary.history == server.history && !(primary.is_replica && server.is_replica)
        });
        let is_reached = |primary: &&(Moment, Identity)| primary.1.offset <= server.offset;
        // The newest reached offset is kept: the next answer may come from another replica, which
        // has not reached it.
        while self.offsets.get(1).filter(is_reached).is_some() {
            self.offsets.pop_front();
        }
        self.offsets.front().filter(is_reached).map(|(queried_at, _)| *queried_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    fn primary(history: &str, offset: i64) -> Identity {
        Identity {
            run_id: "r".into(),
            history: history.into(),
            offset,
            earlier: None,
            is_replica: false,
            moved_from: None,
        }
    }

    fn replica(history: &str, offset: i64) -> Identity {
        Identity { is_replica: true, ..primary(history, offset) }
    }

    #[test]
    fn answers_are_complete_as_of_last_reached_offset() {
        let mut offsets = PrimaryOffsets::default();
        assert_eq!(offsets.reached_by(&replica("h1", 100)), None);
        offsets.record(at(1), &primary("h1", 100));
        offsets.record(at(2), &primary("h1", 150));
        assert_eq!(offsets.reached_by(&replica("h1", 99)), None);
        assert_eq!(offsets.reached_by(&replica("h1", 149)), Some(at(1)));
        // The link hangs: time passes, but the offset does not grow.
        offsets.record(at(9), &primary("h1", 170));
        assert_eq!(offsets.reached_by(&replica("h1", 149)), Some(at(1)));
        assert_eq!(offsets.reached_by(&replica("h1", 170)), Some(at(9)));
    }

    #[test]
    fn offsets_of_another_history_prove_nothing() {
        let mut offsets = PrimaryOffsets::default();
        offsets.record(at(1), &primary("h1", 100));
        assert_eq!(offsets.reached_by(&replica("h2", 500)), None);
        offsets.record(at(2), &primary("h2", 500));
        assert_eq!(offsets.reached_by(&replica("h2", 500)), Some(at(2)));
        // A new history may lack messages of the previous one.
        assert_eq!(offsets.reached_by(&replica("h3", 700)), None);
    }

    #[test]
    fn offset_reached_by_one_replica_proves_nothing_of_another() {
        let mut offsets = PrimaryOffsets::default();
        offsets.record(at(1), &primary("h1", 100));
        assert_eq!(offsets.reached_by(&replica("h1", 100)), Some(at(1)));
        assert_eq!(offsets.reached_by(&replica("h1", 99)), None);
        assert_eq!(offsets.reached_by(&replica("h1", 100)), Some(at(1)));
    }

    #[test]
    fn two_replicas_prove_nothing_of_each_other() {
        let mut offsets = PrimaryOffsets::default();
        offsets.record(at(1), &replica("h1", 100));
        assert_eq!(offsets.reached_by(&replica("h1", 200)), None);
        // Except if the server that is read has become the primary of both.
        offsets.record(at(2), &replica("h1", 100));
        assert_eq!(offsets.reached_by(&primary("h1", 200)), Some(at(2)));
    }

    #[test]
    fn keeps_proving_while_the_replica_is_behind_for_long() {
        let mut offsets = PrimaryOffsets::default();
        for second in 1..20 {
            offsets.record(at(second), &primary("h1", i64::try_from(second).unwrap() * 100));
        }
        assert_eq!(offsets.reached_by(&replica("h1", 350)), Some(at(3)));
        assert_eq!(offsets.reached_by(&replica("h1", 5_000)), Some(at(8)));
        offsets.record(at(20), &primary("h1", 5_000));
        assert_eq!(offsets.reached_by(&replica("h1", 5_000)), Some(at(20)));
    }
}
