//! Asks those who know who the primary is, again and again, beside the reading.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Moment, Revocations};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::ConnectionInfo;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::ballot::{Ballot, Vote};
use super::cluster::{Nodes, View};
use super::sentinel;
use super::{Address, Sentinels};
use crate::connection::Connection;
use crate::log::{LogError, PerStream};

/// How often each is asked, at most and at least: a quarter of the shortest bound.
const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(100);
/// What an answer may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long the first confirmation is waited for.
const FIRST: Duration = Duration::from_millis(500);
/// After this long without a confirmation, it is said.
const UNCONFIRMED: Duration = Duration::from_secs(3);

/// Knows up to when a majority called a server the primary of a stream: the sentinels, or the
/// masters of a cluster. Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Quorum {
    shared: Arc<Shared>,
    _asking: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    ballots: Mutex<PerStream<Ballot>>,
    taken: Notify,
    revocations: Revocations,
}

impl Quorum {
    /// Begins to ask the sentinels, as tasks of the current runtime, by the clock of this state.
    pub(crate) fn of_sentinels(sentinels: &Arc<Sentinels>, revocations: Revocations) -> Self {
        let shared = Shared::new(sentinels.sentinels.len(), revocations);
        let mut asking = JoinSet::new();
        for (voter, sentinel) in sentinels.sentinels.iter().enumerate() {
            let (shared, sentinels) = (Arc::clone(&shared), Arc::clone(sentinels));
            asking.spawn(ask_sentinel(voter, sentinel.clone(), sentinels, shared));
        }
        Self { shared, _asking: asking }
    }

    /// The same with the masters of a cluster, whoever they are at the time.
    pub(crate) fn of_masters(nodes: &Arc<Nodes>, revocations: Revocations) -> Self {
        let shared = Shared::new(0, revocations);
        let mut asking = JoinSet::new();
        asking.spawn(ask_masters(Arc::clone(nodes), Arc::clone(&shared)));
        Self { shared, _asking: asking }
    }

    /// The primary that the newest configuration names.
    pub(crate) fn named(&self, stream: Stream) -> Option<Address> {
        self.shared.ballot(stream, |ballot| ballot.named().cloned())
    }

    /// Up to when a majority said that this is the primary.
    pub(crate) fn confirmed(&self, stream: Stream, primary: &Address) -> Option<Moment> {
        self.shared.ballot(stream, |ballot| ballot.confirmed(primary))
    }

    /// Whether no majority has called it the primary for a while.
    pub(crate) fn is_unconfirmed(&self, stream: Stream, primary: &Address, now: Moment) -> bool {
        let confirmed = self.confirmed(stream, primary);
        confirmed.is_none_or(|confirmed| now.elapsed_since(confirmed) > UNCONFIRMED)
    }

    /// Waits a moment for the first confirmation.
    pub(crate) async fn settle(&self, stream: Stream, primary: &Address) {
        let settled = async {
            loop {
                let taken = self.shared.taken.notified();
                if self.confirmed(stream, primary).is_some() {
                    return;
                }
                taken.await;
            }
        };
        let _ = timeout(FIRST, settled).await;
    }
}

impl Shared {
    fn new(voters: usize, revocations: Revocations) -> Arc<Self> {
        let ballots = Mutex::new(Stream::ALL.map(|_| Ballot::of(voters)));
        Arc::new(Self { ballots, taken: Notify::new(), revocations })
    }

    fn ballots(&self) -> MutexGuard<'_, PerStream<Ballot>> {
        self.ballots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ballot<T>(&self, stream: Stream, ask: impl Fn(&Ballot) -> Option<T>) -> Option<T> {
        self.ballots().get(stream.index()).and_then(ask)
    }

    /// Takes in what one of them says of each stream.
    fn take(&self, voter: usize, votes: PerStream<Option<Vote>>) {
        for (ballot, vote) in self.ballots().iter_mut().zip(votes) {
            ballot.take(voter, vote);
        }
        self.taken.notify_waiters();
    }

    /// The time of the next question.
    fn next(&self) -> (Duration, Instant) {
        let every = (self.revocations.shortest_bound() / 4).clamp(SHORTEST, LONGEST);
        (every, Instant::now() + every)
    }
}

async fn ask_sentinel(
    voter: usize,
    server: ConnectionInfo,
    sentinels: Arc<Sentinels>,
    shared: Arc<Shared>,
) {
    let mut connection = None;
    loop {
        let (_, next) = shared.next();
        let asked = shared.revocations.now();
        let answer = timeout(DEADLINE, ask(&mut connection, &server, &sentinels, asked)).await;
        let vote = answer.unwrap_or(Err(LogError::Deadline(DEADLINE)));
        if let Err(error) = &vote {
            // Its answer may still come, and would pass for the next one's.
            connection = None;
            tracing::debug!(%error, voter, "it does not say who the primary is");
        }
        let vote = vote.ok();
        shared.take(voter, Stream::ALL.map(|_| vote.clone()));
        sleep_until(next).await;
    }
}

async fn ask(
    connection: &mut Option<Connection>,
    server: &ConnectionInfo,
    sentinels: &Sentinels,
    asked: Moment,
) -> Result<Vote, LogError> {
    if let Some(open) = connection {
        match sentinel::ask(open, &sentinels.master).await {
            // It was closed while it was idle.
            Err(error) if error.is_closed() => {}
            told => return Ok(told?.at(asked)),
        }
    }
    let open = connection.insert(Connection::open(server).await?);
    Ok(sentinel::ask(open, &sentinels.master).await?.at(asked))
}

/// All masters at once, round by round; who they are, the newest of their views tells.
async fn ask_masters(nodes: Arc<Nodes>, shared: Arc<Shared>) {
    let mut open: HashMap<Address, Connection> = HashMap::new();
    let (mut view, mut voters) = (None::<View>, Vec::new());
    loop {
        let (every, next) = shared.next();
        if view.is_none() {
            view = nodes.look().await.ok();
        }
        let mut masters: Vec<Address> = view.iter().flat_map(View::masters).cloned().collect();
        // Each node lists them in an order of its own.
        masters.sort_unstable();
        if !masters.is_empty() && masters != voters {
            voters = masters;
            shared.ballots().iter_mut().for_each(|ballot| ballot.expect(voters.len()));
        }
        let asked = shared.revocations.now();
        let ask = |(voter, node): (usize, &Address)| {
            let (connection, nodes, node) = (open.remove(node), &nodes, node.clone());
            async move {
                let answer = timeout(every.min(DEADLINE / 2), async {
                    if let Some(mut connection) = connection {
                        match nodes.view(&mut connection, &node).await {
                            // It was closed while it was idle.
                            Err(error) if error.is_closed() => {}
                            view => return Ok::<_, LogError>((connection, view?)),
                        }
                    }
                    let mut connection = nodes.connect(&node).await?;
                    let view = nodes.view(&mut connection, &node).await?;
                    Ok((connection, view))
                });
                (voter, node.clone(), answer.await.ok().and_then(Result::ok))
            }
        };
        let mut asking: FuturesUnordered<_> = voters.iter().enumerate().map(ask).collect();
        view = None;
        while let Some((voter, node, answer)) = asking.next().await {
            let Some((connection, told)) = answer else {
                shared.take(voter, PerStream::default());
                continue;
            };
            shared.take(voter, told.votes(asked));
            open.insert(node, connection);
            if view.as_ref().is_none_or(|newest| newest.age() < told.age()) {
                view = Some(told);
            }
        }
        sleep_until(next).await;
    }
}
