//! Asks those who know who the primary is, again and again, beside the reading.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caracal_revocation_state::{Moment, Revocations};
use redis::ConnectionInfo;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::ballot::{Ballot, Vote};
use super::sentinel;
use super::{Address, Sentinels};
use crate::connection::Connection;
use crate::log::LogError;

/// How often each is asked, at most and at least: a quarter of the shortest bound.
const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(100);
/// What an answer may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long the first confirmation is waited for.
const FIRST: Duration = Duration::from_millis(500);
/// After this long without a confirmation, it is said.
const UNCONFIRMED: Duration = Duration::from_secs(3);

/// Knows up to when a majority called a server the primary. Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Quorum {
    shared: Arc<Shared>,
    _asking: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    ballot: Mutex<Ballot>,
    taken: Notify,
    revocations: Revocations,
}

impl Quorum {
    /// Begins to ask the sentinels, as tasks of the current runtime, by the clock of this state.
    pub(crate) fn of(sentinels: &Arc<Sentinels>, revocations: Revocations) -> Self {
        let voters = sentinels.sentinels.len();
        let ballot = Mutex::new(Ballot::of(voters));
        let shared = Arc::new(Shared { ballot, taken: Notify::new(), revocations });
        let mut asking = JoinSet::new();
        for (voter, sentinel) in sentinels.sentinels.iter().enumerate() {
            let (shared, sentinels) = (Arc::clone(&shared), Arc::clone(sentinels));
            asking.spawn(ask_for_ever(voter, sentinel.clone(), sentinels, shared));
        }
        Self { shared, _asking: asking }
    }

    /// The primary that the newest configuration names.
    pub(crate) fn named(&self) -> Option<Address> {
        self.shared.ballot().named().cloned()
    }

    /// Up to when a majority said that this is the primary.
    pub(crate) fn confirmed(&self, primary: &Address) -> Option<Moment> {
        self.shared.ballot().confirmed(primary)
    }

    /// Whether no majority has called it the primary for a while.
    pub(crate) fn is_unconfirmed(&self, primary: &Address, now: Moment) -> bool {
        let confirmed = self.confirmed(primary);
        confirmed.is_none_or(|confirmed| now.elapsed_since(confirmed) > UNCONFIRMED)
    }

    /// Waits a moment for the first confirmation.
    pub(crate) async fn settle(&self, primary: &Address) {
        let settled = async {
            loop {
                let taken = self.shared.taken.notified();
                if self.confirmed(primary).is_some() {
                    return;
                }
                taken.await;
            }
        };
        let _ = timeout(FIRST, settled).await;
    }
}

impl Shared {
    fn ballot(&self) -> MutexGuard<'_, Ballot> {
        self.ballot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_for_ever(
    voter: usize,
    server: ConnectionInfo,
    sentinels: Arc<Sentinels>,
    shared: Arc<Shared>,
) {
    let mut connection = None;
    loop {
        let next =
            Instant::now() + (shared.revocations.shortest_bound() / 4).clamp(SHORTEST, LONGEST);
        let asked = shared.revocations.now();
        let answer = timeout(DEADLINE, ask(&mut connection, &server, &sentinels, asked)).await;
        let vote = answer.unwrap_or(Err(LogError::Deadline(DEADLINE)));
        if let Err(error) = &vote {
            // Its answer may still come, and would pass for the next one's.
            connection = None;
            tracing::debug!(%error, voter, "it does not say who the primary is");
        }
        shared.ballot().take(voter, vote.ok());
        shared.taken.notify_waiters();
        sleep_until(next).await;
    }
}

async fn ask(
    connection: &mut Option<Connection>,
    server: &ConnectionInfo,
    sentinels: &Sentinels,
    asked: Moment,
) -> Result<Vote, LogError> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(server).await?),
    };
    Ok(sentinel::ask(open, &sentinels.master).await?.at(asked))
}
