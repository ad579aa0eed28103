//! Up to when a replica's answers hold: until its primary had no more than it has.
//!
//! A replica whose link hangs answers "empty", and for a minute says that the link is up. So the
//! primary is asked on a second connection how far its history is; once the replica has reached
//! that offset, it has everything of the moment of the question.

use std::collections::VecDeque;
use std::time::Duration;

use caracal_revocation_state::Moment;
use redis::{ConnectionInfo, Pipeline};
use tokio::time::{Instant, timeout};

use crate::connection::Connection;
use crate::continuity::Identity;
use crate::log::LogError;
use crate::redis_reply as reply;

/// The replica is read after this, whatever the primary does.
const DEADLINE: Duration = Duration::from_millis(500);
/// How long a primary is left alone that did not answer in time: once it is back, it is to be asked
/// soon.
const REST: Duration = Duration::from_millis(500);
const MOST_ASKED: usize = 8;

/// The primary of a replica that is read.
#[derive(Debug)]
pub(crate) struct Primary {
    server: ConnectionInfo,
    connection: Option<Connection>,
    rests_until: Option<Instant>,
    reached: Reached,
}

/// Offsets that the primary told, until the replica has reached them.
#[derive(Debug, Default)]
struct Reached {
    /// When the primary was asked, its history, and how far that was.
    told: VecDeque<(Moment, Box<str>, i64)>,
    as_of: Option<Moment>,
}

impl Primary {
    pub(crate) fn new(server: ConnectionInfo) -> Self {
        Self { server, connection: None, rests_until: None, reached: Reached::default() }
    }

    /// Asks how far its history is, unless it rests.
    pub(crate) async fn ask(&mut self, now: Moment) {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        match timeout(DEADLINE, self.tell()).await {
            Ok(Ok(identity)) if !identity.is_replica => self.reached.tell(now, &identity),
            // The answer may still come, and would pass for the next one's.
            _ => {
                self.connection = None;
                self.rests_until = Some(Instant::now() + REST);
                tracing::debug!("the primary does not tell how far its history is");
            }
        }
    }

    /// Up to when this replica's answers hold, if that is known.
    pub(crate) fn as_of(&mut self, replica: &Identity) -> Option<Moment> {
        self.reached.by(replica)
    }

    async fn tell(&mut self) -> Result<Identity, LogError> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.server).await?);
        }
        let connection = self.connection.as_mut().ok_or(LogError::Reply("no connection"))?;
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg("server").cmd("INFO").arg("replication");
        let mut answers = connection.tell(&commands).await?.into_iter();
        let server = reply::text(&reply::sound(answers.next())?)?;
        let replication = reply::text(&reply::sound(answers.next())?)?;
        Identity::of(&server, &replication)
    }
}

impl Reached {
    fn tell(&mut self, asked: Moment, primary: &Identity) {
        // The oldest is next to be reached: under load a newer one might never be.
        if self.told.len() < MOST_ASKED {
            self.told.push_back((asked, primary.history.clone(), primary.offset));
        }
    }

    fn by(&mut self, replica: &Identity) -> Option<Moment> {
        // What another history told, nobody reaches any more.
        self.told.retain(|(_, history, _)| *history == replica.history);
        while self.told.front().is_some_and(|(_, _, offset)| *offset <= replica.offset) {
            self.as_of = self.told.pop_front().map(|(asked, ..)| asked);
        }
        self.as_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    fn stands(history: &str, offset: i64) -> Identity {
        Identity {
            run_id: "r".into(),
            history: history.into(),
            offset,
            earlier: None,
            is_replica: true,
            moved_from: None,
            last_heard: None,
        }
    }

    #[test]
    fn answers_hold_as_of_the_last_question_whose_offset_was_reached() {
        let mut reached = Reached::default();
        assert_eq!(reached.by(&stands("h1", 100)), None);
        reached.tell(at(1), &stands("h1", 100));
        reached.tell(at(2), &stands("h1", 150));
        assert_eq!(reached.by(&stands("h1", 99)), None);
        assert_eq!(reached.by(&stands("h1", 149)), Some(at(1)));
        // A link that hangs: time goes by, the offset does not.
        reached.tell(at(9), &stands("h1", 170));
        assert_eq!(reached.by(&stands("h1", 149)), Some(at(1)));
        assert_eq!(reached.by(&stands("h1", 170)), Some(at(9)));
    }

    #[test]
    fn offsets_of_another_history_prove_nothing() {
        let mut reached = Reached::default();
        reached.tell(at(1), &stands("h1", 100));
        assert_eq!(reached.by(&stands("h2", 500)), None);
        reached.tell(at(2), &stands("h2", 500));
        assert_eq!(reached.by(&stands("h2", 500)), Some(at(2)));
    }
}
