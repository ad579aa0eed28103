//! Asks the sentinels, or the masters of a cluster, at intervals which server is the primary, in
//! tasks that run alongside the reading.

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

use super::address::Address;
use super::cluster::{Nodes, View};
use super::quorum_votes::{QuorumVotes, Vote};
use super::sentinel::{self, Sentinels};
use crate::connection::Connection;
use crate::entry::PerStream;
use crate::limits::{SIDE_DEADLINE, UNPROVEN_AFTER, interval, within};
use crate::log_error::LogError;

/// The longest interval between two questions to a voter.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time for an answer, connecting included.
const DEADLINE: Duration = Duration::from_secs(1);

/// Tracks the time up to which a majority confirmed a server as the primary of a stream. Asks until
/// it is dropped.
#[derive(Debug)]
pub(crate) struct PrimaryMonitor {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    votes: Mutex<PerStream<QuorumVotes>>,
    taken: Notify,
    revocations: Revocations,
}

impl PrimaryMonitor {
    /// Begins to ask the sentinels, as tasks of the current runtime, by the clock of this state.
    pub(crate) fn of_sentinels(sentinels: &Arc<Sentinels>, revocations: Revocations) -> Self {
        let shared = Shared::new(sentinels.sentinels.len(), revocations);
        let mut tasks = JoinSet::new();
        for (voter, sentinel) in sentinels.sentinels.iter().enumerate() {
            let (shared, sentinels) = (Arc::clone(&shared), Arc::clone(sentinels));
            tasks.spawn(poll_sentinel(voter, sentinel.clone(), sentinels, shared));
        }
        Self { shared, _tasks: tasks }
    }

    /// Begins to ask the current masters of a cluster, as a task of the current runtime.
    pub(crate) fn of_masters(nodes: &Arc<Nodes>, revocations: Revocations) -> Self {
        let shared = Shared::new(0, revocations);
        let mut tasks = JoinSet::new();
        tasks.spawn(poll_masters(Arc::clone(nodes), Arc::clone(&shared)));
        Self { shared, _tasks: tasks }
    }

    /// Returns the primary that the newest configuration names.
    pub(crate) fn named(&self, stream: Stream) -> Option<Address> {
        self.shared.votes_on(stream, |votes| votes.named().cloned())
    }

    /// Returns the time up to which a majority confirmed this primary.
    pub(crate) fn confirmed(&self, stream: Stream, primary: &Address) -> Option<Moment> {
        self.shared.votes_on(stream, |votes| votes.confirmed(primary))
    }

    /// Returns `true` if no majority has confirmed this primary within the last seconds.
    pub(crate) fn is_unconfirmed(&self, stream: Stream, primary: &Address, now: Moment) -> bool {
        let confirmed = self.confirmed(stream, primary);
        confirmed.is_none_or(|confirmed| now.elapsed_since(confirmed) > UNPROVEN_AFTER)
    }

    /// Waits for the first confirmation, up to a limit.
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
        let _ = timeout(SIDE_DEADLINE, settled).await;
    }
}

impl Shared {
    fn new(voters: usize, revocations: Revocations) -> Arc<Self> {
        let votes = Mutex::new(Stream::ALL.map(|_| QuorumVotes::of(voters)));
        Arc::new(Self { votes, taken: Notify::new(), revocations })
    }

    fn votes(&self) -> MutexGuard<'_, PerStream<QuorumVotes>> {
        self.votes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn votes_on<T>(&self, stream: Stream, select: impl Fn(&QuorumVotes) -> Option<T>) -> Option<T> {
        self.votes().get(stream.index()).and_then(select)
    }

    /// Records the vote of one voter for each stream.
    fn take(&self, voter: usize, votes: PerStream<Option<Vote>>) {
        for (counted, vote) in self.votes().iter_mut().zip(votes) {
            counted.take(voter, vote);
        }
        self.taken.notify_waiters();
    }

    /// Returns the interval and the time of the next question.
    fn next(&self) -> (Duration, Instant) {
        let every = interval(&self.revocations, LONGEST_INTERVAL);
        (every, Instant::now() + every)
    }
}

async fn poll_sentinel(
    voter: usize,
    server: ConnectionInfo,
    sentinels: Arc<Sentinels>,
    shared: Arc<Shared>,
) {
    let mut connection = None;
    loop {
        let (_, next) = shared.next();
        let queried_at = shared.revocations.now();
        let vote = within(DEADLINE, query(&mut connection, &server, &sentinels, queried_at)).await;
        if let Err(error) = &vote {
            // A late answer may still arrive, and would count as the next one.
            connection = None;
            tracing::debug!(%error, voter, "a sentinel did not name the primary");
        }
        let vote = vote.ok();
        shared.take(voter, Stream::ALL.map(|_| vote.clone()));
        sleep_until(next).await;
    }
}

async fn query(
    connection: &mut Option<Connection>,
    server: &ConnectionInfo,
    sentinels: &Sentinels,
    queried_at: Moment,
) -> Result<Vote, LogError> {
    if let Some(open) = connection {
        match sentinel::query(open, &sentinels.master).await {
            // It was closed while it was idle.
            Err(error) if error.is_closed() => {}
            answer => return Ok(answer?.at(queried_at)),
        }
    }
    let open = connection.insert(Connection::open(server).await?);
    Ok(sentinel::query(open, &sentinels.master).await?.at(queried_at))
}

/// Asks all masters at once, in rounds. The newest of their views lists the masters of the next
/// round.
async fn poll_masters(nodes: Arc<Nodes>, shared: Arc<Shared>) {
    let mut open: HashMap<Address, Connection> = HashMap::new();
    let (mut view, mut voters) = (None::<View>, Vec::new());
    loop {
        let (every, next) = shared.next();
        if view.is_none() {
            view = nodes.fetch_view().await.ok();
        }
        let mut masters: Vec<Address> = view.iter().flat_map(View::masters).cloned().collect();
        // Each node lists the masters in a different order.
        masters.sort_unstable();
        if !masters.is_empty() && masters != voters {
            voters = masters;
            shared.votes().iter_mut().for_each(|votes| votes.expect(voters.len()));
        }
        let queried_at = shared.revocations.now();
        let query = |(voter, node): (usize, &Address)| {
            let (connection, nodes, node) = (open.remove(node), &nodes, node.clone());
            async move {
                let answer = within(every.min(DEADLINE / 2), async {
                    if let Some(mut connection) = connection {
                        match nodes.view(&mut connection, &node).await {
                            // It was closed while it was idle.
                            Err(error) if error.is_closed() => {}
                            view => return Ok((connection, view?)),
                        }
                    }
                    let mut connection = nodes.connect(&node).await?;
                    let view = nodes.view(&mut connection, &node).await?;
                    Ok((connection, view))
                });
                (voter, node.clone(), answer.await.ok())
            }
        };
        let mut queries: FuturesUnordered<_> = voters.iter().enumerate().map(query).collect();
        view = None;
        while let Some((voter, node, answer)) = queries.next().await {
            let Some((connection, seen)) = answer else {
                shared.take(voter, PerStream::default());
                continue;
            };
            shared.take(voter, seen.votes(queried_at));
            open.insert(node, connection);
            if view.as_ref().is_none_or(|newest| newest.age() < seen.age()) {
                view = Some(seen);
            }
        }
        sleep_until(next).await;
    }
}
