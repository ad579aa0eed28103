//! Redis Sentinel: processes that monitor a primary, and promote another server when it fails.

use std::fmt;
use std::time::Duration;

use caracal_revocation_state::{Moment, OutageCause};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionInfo, Pipeline, Value};

use super::address::Address;
use super::quorum_votes::{AT_ONCE, QuorumVotes, Vote};
use crate::connection::Connection;
use crate::limits::{SIDE_DEADLINE, within};
use crate::log_error::LogError;
use crate::redis_reply as reply;
use crate::wire::{Certificates, Wire};

/// The longest time for connecting to the named primary. It may be down, and the sentinels may name
/// another soon.
const PRIMARY_DEADLINE: Duration = Duration::from_secs(1);

/// The sentinels of a primary.
#[derive(Debug)]
pub(crate) struct Sentinels {
    pub(super) sentinels: Vec<ConnectionInfo>,
    /// The name of the primary at the sentinels.
    pub(super) master: Box<str>,
    /// The login and TLS settings for the primary. Its address comes from the sentinels.
    primary: ConnectionInfo,
}

impl Sentinels {
    pub(crate) fn new(
        sentinels: Vec<ConnectionInfo>,
        master: &str,
        primary: ConnectionInfo,
    ) -> Self {
        Self { sentinels, master: master.into(), primary }
    }

    /// Asks all sentinels at once until a majority agrees, and uses the newest configuration. A
    /// sentinel that was cut off together with an old primary still names that one.
    pub(crate) async fn find(&self) -> Result<Address, LogError> {
        let mut votes = QuorumVotes::of(self.sentinels.len());
        let query = |(voter, sentinel)| async move {
            let answer = within(SIDE_DEADLINE, async {
                let mut connection = Connection::open(sentinel).await?;
                query(&mut connection, &self.master).await
            });
            (voter, answer.await)
        };
        let mut queries: FuturesUnordered<_> =
            self.sentinels.iter().enumerate().map(query).collect();
        let mut failure = None;
        while let Some((voter, answer)) = queries.next().await {
            match answer {
                Ok(answer) => votes.take(voter, Some(answer.at(AT_ONCE))),
                // The error of a sentinel that answered is more useful than that of one that did
                // not answer.
                Err(error) if matches!(error, LogError::Sentinel(..)) => failure = Some(error),
                Err(error) => {
                    let unasked = || LogError::Sentinel(error.outage(), error.to_string());
                    failure.get_or_insert_with(unasked);
                }
            }
            if votes.is_decided() {
                break;
            }
        }
        let unknown = || LogError::Sentinel(OutageCause::NoPrimary, "no sentinel was asked".into());
        votes.named().cloned().ok_or_else(|| failure.unwrap_or_else(unknown))
    }

    /// Connects to the server at this address, if it is a primary.
    pub(crate) async fn connect(&self, primary: &Address) -> Result<Connection, LogError> {
        let server = primary.of(&self.primary);
        let mut connection = within(PRIMARY_DEADLINE, Connection::open(&server)).await?;
        let answers = connection.run(&role_query()).await?;
        is_primary(answers, primary).map(|()| connection)
    }

    /// Connects to the server at this address for reading the streams, if it is a primary.
    pub(super) async fn connect_wire(
        &self,
        primary: &Address,
        certificates: &Certificates,
    ) -> Result<Wire, LogError> {
        let server = primary.of(&self.primary);
        let mut connection = within(PRIMARY_DEADLINE, Wire::open(&server, certificates)).await?;
        let answers = connection.values(&role_query()).await?;
        is_primary(answers, primary).map(|()| connection)
    }
}

fn role_query() -> Pipeline {
    let mut commands = Pipeline::new();
    commands.cmd("INFO").arg("replication");
    commands
}

/// Returns an error if these answers are not those of a primary.
fn is_primary(answers: Vec<Value>, primary: &Address) -> Result<(), LogError> {
    let info = reply::text(&reply::checked(answers.into_iter().next())?)?;
    if reply::info_field(&info, "role") == Some("master") {
        Ok(())
    } else {
        let message = format!("{primary} was named, but is not a primary (yet)");
        Err(LogError::Sentinel(OutageCause::NoPrimary, message))
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at", self.master)?;
        self.sentinels.iter().try_for_each(|sentinel| write!(f, " {}", sentinel.addr()))
    }
}

/// The answer of a sentinel, without the time of the question.
pub(super) struct SentinelAnswer {
    primary: Address,
    epoch: u64,
    is_down: bool,
}

impl SentinelAnswer {
    pub(super) fn at(self, queried_at: Moment) -> Vote {
        Vote { queried_at, primary: self.primary, epoch: self.epoch, is_down: self.is_down }
    }
}

/// Asks one sentinel for the primary's address and the epoch of its configuration.
pub(super) async fn query(
    connection: &mut Connection,
    master: &str,
) -> Result<SentinelAnswer, LogError> {
    let mut commands = Pipeline::new();
    commands.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    commands.cmd("SENTINEL").arg("MASTER").arg(master);
    let mut answers = connection.query(&commands, Duration::ZERO).await?.into_iter();
    let from_sentinel = |error: LogError| LogError::Sentinel(error.outage(), error.to_string());
    let address = reply::checked(answers.next()).map_err(from_sentinel)?;
    let primary = match &address {
        Value::Nil => {
            let message = format!("it does not know a primary named {master:?}");
            return Err(LogError::Sentinel(OutageCause::NoPrimary, message));
        }
        Value::Array(pair) => match pair.as_slice() {
            [host, port] => address_of(host, port)?,
            _ => return Err(UNEXPECTED_REPLY),
        },
        _ => return Err(UNEXPECTED_REPLY),
    };
    let state = reply::checked(answers.next()).map_err(from_sentinel)?;
    let epoch = reply::number(&reply::field(&state, "config-epoch")?)?;
    let flags = reply::text(&reply::field(&state, "flags")?)?;
    let is_down = flags.split(',').any(|flag| matches!(flag, "s_down" | "o_down"));
    Ok(SentinelAnswer { primary, epoch, is_down })
}

const UNEXPECTED_REPLY: LogError = LogError::Reply("SENTINEL did not answer with an address");

fn address_of(host: &Value, port: &Value) -> Result<Address, LogError> {
    let port = u16::try_from(reply::number(port)?).map_err(|_| UNEXPECTED_REPLY)?;
    Ok(Address { host: reply::text(host)?.into(), port })
}
