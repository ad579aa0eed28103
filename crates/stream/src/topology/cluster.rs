//! Redis Cluster: each stream is in a slot, and each slot is on a master that every node can name.

use std::sync::OnceLock;
use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Moment, OutageCause};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionAddr, ConnectionInfo, Pipeline, Value};

use super::address::Address;
use super::quorum_votes::{AT_ONCE, QuorumVotes, Vote};
use crate::connection::Connection;
use crate::entry::PerStream;
use crate::limits::{SIDE_DEADLINE, within};
use crate::log_error::LogError;
use crate::redis_reply as reply;

/// The nodes of a cluster, from the settings.
#[derive(Debug)]
pub(crate) struct Nodes {
    seeds: Vec<Address>,
    /// The login and the certificates, which are the same on every node.
    template: ConnectionInfo,
    /// The preferred endpoint, once a node that announces a host name was asked.
    endpoint: OnceLock<Endpoint>,
}

/// The endpoint by which clients reach a node that announces a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Address,
    Name,
}

/// The owners of the slots, in the view of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View(Vec<Master>);

/// A master that has slots.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Master {
    address: Address,
    epoch: u64,
    /// `true` if the node that was asked marks it as failing.
    is_down: bool,
    slots: Vec<(u16, u16)>,
}

impl Nodes {
    pub(crate) const fn new(seeds: Vec<Address>, template: ConnectionInfo) -> Self {
        Self { seeds, template, endpoint: OnceLock::new() }
    }

    pub(crate) fn seeds(&self) -> &[Address] {
        &self.seeds
    }

    pub(crate) fn at(&self, node: &Address) -> ConnectionInfo {
        node.of(&self.template)
    }

    pub(crate) async fn connect(&self, node: &Address) -> Result<Connection, LogError> {
        Connection::open(&self.at(node)).await
    }

    /// Returns the newest view among the seeds' answers.
    pub(crate) async fn fetch_view(&self) -> Result<View, LogError> {
        let query = |seed| async move {
            let answer = within(SIDE_DEADLINE, async {
                let mut connection = self.connect(seed).await?;
                self.view(&mut connection, seed).await
            });
            answer.await
        };
        let mut queries: FuturesUnordered<_> = self.seeds.iter().map(query).collect();
        let (mut newest, mut failure) = (None::<View>, None);
        while let Some(answer) = queries.next().await {
            match answer {
                Ok(view) if newest.as_ref().is_none_or(|newest| newest.age() < view.age()) => {
                    newest = Some(view);
                }
                Ok(_) => {}
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let unknown = LogError::Cluster(OutageCause::NoPrimary, "no node was asked".into());
        newest.ok_or(failure.unwrap_or(unknown))
    }

    /// Returns the master of this key's slot, as a majority of the masters names it.
    pub(crate) async fn owner(&self, key: &str) -> Result<Address, LogError> {
        let view = self.fetch_view().await?;
        let voters: Vec<Address> = view.masters().cloned().collect();
        let slot = slot(key);
        let mut votes = QuorumVotes::of(voters.len());
        let query = |(voter, node)| async move {
            let answer = within(SIDE_DEADLINE, async {
                let mut connection = self.connect(node).await?;
                self.view(&mut connection, node).await
            });
            (voter, answer.await.ok())
        };
        let mut queries: FuturesUnordered<_> = voters.iter().enumerate().map(query).collect();
        while let Some((voter, view)) = queries.next().await {
            votes.take(voter, view.and_then(|view| view.vote(slot, AT_ONCE)));
            if votes.is_decided() {
                break;
            }
        }
        let no_owner =
            || LogError::Cluster(OutageCause::NoPrimary, format!("no node owns slot {slot}"));
        votes.named().cloned().ok_or_else(no_owner)
    }

    /// Asks one node for its view.
    pub(crate) async fn view(
        &self,
        connection: &mut Connection,
        node: &Address,
    ) -> Result<View, LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("CLUSTER").arg("NODES");
        let answers = connection.run(&commands).await?;
        let text = reply::text(&reply::checked(answers.into_iter().next())?)?;
        View::parse(&text, node, self.endpoint(connection, &text).await?)
    }

    /// Returns the endpoint by which nodes are reached: the name if a certificate must match it, or
    /// if the nodes prefer that.
    async fn endpoint(
        &self,
        connection: &mut Connection,
        nodes: &str,
    ) -> Result<Endpoint, LogError> {
        if matches!(self.template.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(Endpoint::Name);
        }
        if let Some(endpoint) = self.endpoint.get() {
            return Ok(*endpoint);
        }
        // If no node has a name, there is no need to ask.
        if !nodes.lines().filter_map(|line| line.split_whitespace().nth(1)).any(has_name) {
            return Ok(Endpoint::Address);
        }
        let mut commands = Pipeline::new();
        commands.cmd("CONFIG").arg("GET").arg("cluster-preferred-endpoint-type");
        let answers = connection.query(&commands, Duration::ZERO).await?;
        // A user without the right to ask reaches the nodes by their addresses.
        let prefers_name = match answers.first() {
            Some(Value::Array(pair)) => pair
                .get(1)
                .is_some_and(|kind| reply::text(kind).is_ok_and(|kind| kind == "hostname")),
            _ => false,
        };
        let endpoint = if prefers_name { Endpoint::Name } else { Endpoint::Address };
        Ok(*self.endpoint.get_or_init(|| endpoint))
    }
}

impl View {
    /// Parses the answer to `CLUSTER NODES` of the node that was asked at this address.
    fn parse(text: &str, node: &Address, endpoint: Endpoint) -> Result<Self, LogError> {
        const UNEXPECTED_REPLY: LogError = LogError::Reply("CLUSTER NODES is not as expected");
        let mut masters = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut columns = line.split_whitespace();
            let (place, flags) =
                (columns.nth(1).ok_or(UNEXPECTED_REPLY)?, columns.next().ok_or(UNEXPECTED_REPLY)?);
            let epoch =
                columns.nth(3).and_then(|epoch| epoch.parse().ok()).ok_or(UNEXPECTED_REPLY)?;
            // Single slots and ranges follow the state of the link. Those in brackets are
            // migrating.
            let slots = columns.skip(1).filter(|slots| !slots.starts_with('['));
            let slots = slots.map(range).collect::<Option<Vec<_>>>().ok_or(UNEXPECTED_REPLY)?;
            if slots.is_empty() || !flags.split(',').any(|flag| flag == "master") {
                continue;
            }
            let named = address(place, endpoint).ok_or(UNEXPECTED_REPLY)?;
            // A node does not know its own address until another node has contacted it.
            let is_itself = named.host.is_empty() && flags.contains("myself");
            let address = if is_itself { node.clone() } else { named };
            let is_down = flags.split(',').any(|flag| matches!(flag, "fail" | "fail?"));
            masters.push(Master { address, epoch, is_down, slots });
        }
        Ok(Self(masters))
    }

    /// Returns the masters that have slots, and so have a vote.
    pub(crate) fn masters(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().map(|master| &master.address)
    }

    /// Returns the highest epoch in the view. A newer view has a higher one.
    pub(crate) fn age(&self) -> u64 {
        self.0.iter().map(|master| master.epoch).max().unwrap_or(0)
    }

    /// Returns the vote for the owner of this slot.
    pub(crate) fn vote(&self, slot: u16, queried_at: Moment) -> Option<Vote> {
        let owns = |master: &&Master| {
            master.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        };
        let owner = self.0.iter().find(owns)?;
        let Master { address, epoch, is_down, .. } = owner;
        Some(Vote { queried_at, primary: address.clone(), epoch: *epoch, is_down: *is_down })
    }

    /// Returns the vote for the owner of each stream's slot.
    pub(crate) fn votes(&self, queried_at: Moment) -> PerStream<Option<Vote>> {
        Stream::ALL.map(|stream| self.vote(slot(stream.name()), queried_at))
    }
}

/// Parses `ip:port@bus`, optionally followed by `,hostname`.
fn address(place: &str, endpoint: Endpoint) -> Option<Address> {
    let (host, port) = place.split(',').next()?.split('@').next()?.rsplit_once(':')?;
    let name = name(place).filter(|_| endpoint == Endpoint::Name);
    Some(Address { host: name.unwrap_or(host).into(), port: port.parse().ok()? })
}

/// Returns the host name that a node announces, if any.
fn name(place: &str) -> Option<&str> {
    place.split(',').nth(1).filter(|name| !name.is_empty() && !name.contains('='))
}

fn has_name(place: &str) -> bool {
    name(place).is_some()
}

fn range(slots: &str) -> Option<(u16, u16)> {
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Returns the slot of a key. If the key contains braces, only the text in the first ones counts.
pub(crate) fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map_or(key, |(tag, _)| if tag.is_empty() { key } else { tag });
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of a server of version 7.0, after a slot was moved to the first node.
    const NODES: &str = "\
c48a 127.0.0.1:37102@47102 master - 0 1795649053136 2 connected 5461-10922
d481 127.0.0.1:37103@47103,n3.internal master,fail - 0 1795649052935 0 connected 10923-13712 13714-16383
add7 :37101@47101 myself,master - 0 1795649051000 3 connected 0-5460 13713 [93-<-c48a]
eee7 127.0.0.1:37104@47104 slave add7 0 1795649051000 3 connected
fff7 127.0.0.1:37105@47105 master - 0 1795649051000 9 connected
";

    fn host(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn masters_with_slots_vote_and_own_them() {
        let view = View::parse(NODES, &host("asked", 37101), Endpoint::Address).unwrap();
        let masters: Vec<String> = view.masters().map(ToString::to_string).collect();
        assert_eq!(masters, ["127.0.0.1:37102", "127.0.0.1:37103", "asked:37101"]);
        assert_eq!(view.age(), 3);
        let owner = |slot| view.vote(slot, AT_ONCE).map(|vote| (vote.primary.port, vote.epoch));
        assert_eq!(owner(13_713), Some((37101, 3)));
        assert_eq!(owner(13_712), Some((37103, 0)));
        assert_eq!(owner(16_383), Some((37103, 0)));
        assert_eq!(owner(93), Some((37101, 3)));
        assert_eq!(View::default().vote(93, AT_ONCE), None);
        let is_down = |slot| view.vote(slot, AT_ONCE).map(|vote| vote.is_down);
        assert_eq!((is_down(13_712), is_down(93)), (Some(true), Some(false)));
        let named = View::parse(NODES, &host("asked", 37101), Endpoint::Name).unwrap();
        assert!(named.masters().any(|node| *node == host("n3.internal", 37103)));
    }

    #[test]
    fn rejects_invalid_view() {
        for text in [
            "x",
            "a b c d",
            "a h:1@2 master - 0 0 x connected 1",
            "a h:1@2 master - 0 0 1 connected z",
        ] {
            assert!(View::parse(text, &host("asked", 1), Endpoint::Address).is_err(), "{text}");
        }
    }

    #[test]
    fn computes_same_slots_as_redis() {
        for (key, expected) in [
            ("caracal.sessions.revoke", 13_713),
            ("caracal.sessions.revoke.dead", 15_975),
            ("{caracal.sessions.revoke.dead}:mark", 15_975),
            ("caracal.policy.invalidate", 1_865),
            ("123456789", 12_739),
            ("{}a", slot("{}a")),
        ] {
            assert_eq!(slot(key), expected, "{key}");
        }
        assert_ne!(slot("{}a"), slot("{}b"), "empty braces do not count");
    }
}
