//! Connections by key: one for all keys, or in a cluster one for each master.

use std::collections::HashMap;
use std::time::Duration;

use caracal_revocation_state::OutageCause;
use redis::{Pipeline, Value};

use super::address::Address;
use super::cluster::{View, slot};
use super::location::Topology;
use super::quorum_votes::AT_ONCE;
use crate::connection::Connection;
use crate::log_error::LogError;

/// Connections to the servers that accept writes, each opened when it is first needed.
#[derive(Debug)]
pub struct Links {
    topology: Topology,
    /// The only connection outside a cluster.
    one: Option<Connection>,
    /// The owners of the slots of a cluster, as of the last lookup.
    view: Option<View>,
    nodes: HashMap<Address, Connection>,
}

impl Links {
    pub(crate) fn new(topology: Topology) -> Self {
        Self { topology, one: None, view: None, nodes: HashMap::new() }
    }

    /// Closes all connections after a failure, so that the owners are looked up again.
    pub fn close(&mut self) {
        (self.one, self.view) = (None, None);
        self.nodes.clear();
    }

    /// Returns the connection for this key.
    pub async fn to(&mut self, key: &str) -> Result<&mut Connection, LogError> {
        match self.owner(key).await? {
            None => self.only().await,
            Some(node) => self.node(node).await,
        }
    }

    /// Sends commands for this key, or for others of its slot, and returns all answers. Returns the
    /// first error answer as an error.
    ///
    /// Retries once if the connection was closed, for example by an idle limit, or if another
    /// server may have the key by now. So the commands may run twice, which must be harmless.
    pub async fn run(&mut self, key: &str, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        let answers = match self.run_once(key, commands).await {
            Err(error) if self.may_succeed_again(&error) => {
                self.close();
                self.run_once(key, commands).await
            }
            answers => answers,
        };
        // A late answer may still arrive, so the connections are closed. An error that Redis itself
        // returned is complete.
        if answers.as_ref().is_err_and(|error| !matches!(error, LogError::Redis(_))) {
            self.close();
        }
        answers
    }

    /// Sends questions for this key as [`Links::run`] does, but returns error answers among the
    /// answers.
    pub async fn query(&mut self, key: &str, questions: &Pipeline) -> Result<Vec<Value>, LogError> {
        match self.to(key).await?.query(questions, Duration::ZERO).await {
            Err(error) if self.may_succeed_again(&error) => {
                self.close();
                self.to(key).await?.query(questions, Duration::ZERO).await
            }
            answers => answers,
        }
    }

    async fn run_once(&mut self, key: &str, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        self.to(key).await?.run(commands).await
    }

    /// Returns `true` if a retry on a new connection may succeed.
    fn may_succeed_again(&self, error: &LogError) -> bool {
        let is_elsewhere = matches!(
            error.outage(),
            OutageCause::Moved | OutageCause::ReadOnly | OutageCause::Timeout
        );
        error.is_closed() || is_elsewhere && !matches!(self.topology, Topology::One(_))
    }

    /// Sends the commands of each key, in this order. Outside a cluster that is one write.
    pub async fn run_all(&mut self, parts: Vec<(String, Pipeline)>) -> Result<(), LogError> {
        if self.is_cluster() {
            for (key, commands) in &parts {
                self.run(key, commands).await?;
            }
            return Ok(());
        }
        let mut all = Pipeline::new();
        for command in parts.iter().flat_map(|(_, commands)| commands.cmd_iter()) {
            all.add_command(command.clone());
        }
        // Outside a cluster, every key is on the same server.
        self.run("", &all).await.map(|_| ())
    }

    /// Returns the address of each server, for commands to all of them.
    pub async fn everywhere(&mut self) -> Result<Vec<Option<Address>>, LogError> {
        if !self.is_cluster() {
            return Ok(vec![None]);
        }
        Ok(self.view().await?.masters().cloned().map(Some).collect())
    }

    /// Returns the connection to one of [`Links::everywhere`].
    pub async fn at(&mut self, node: Option<Address>) -> Result<&mut Connection, LogError> {
        match node {
            None => self.only().await,
            Some(node) => self.node(node).await,
        }
    }

    const fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster(_))
    }

    /// Returns the address of the server that has this key, if it is one of a cluster.
    pub(crate) async fn owner(&mut self, key: &str) -> Result<Option<Address>, LogError> {
        if !self.is_cluster() {
            return Ok(None);
        }
        let slot = slot(key);
        let vote = self.view().await?.vote(slot, AT_ONCE);
        let no_owner =
            || LogError::Cluster(OutageCause::NoPrimary, format!("no node owns slot {slot}"));
        vote.map(|vote| Some(vote.primary)).ok_or_else(no_owner)
    }

    async fn view(&mut self) -> Result<&View, LogError> {
        if let (None, Topology::Cluster(nodes)) = (&self.view, &self.topology) {
            self.view = Some(nodes.fetch_view().await?);
        }
        self.view.as_ref().ok_or(LogError::Reply("there is no cluster"))
    }

    async fn only(&mut self) -> Result<&mut Connection, LogError> {
        if self.one.is_none() {
            self.one = Some(self.topology.open("").await?);
        }
        self.one.as_mut().ok_or(LogError::Reply("there is no open connection"))
    }

    async fn node(&mut self, node: Address) -> Result<&mut Connection, LogError> {
        if !self.nodes.contains_key(&node) {
            let Topology::Cluster(nodes) = &self.topology else {
                return Err(LogError::Reply("there is no cluster"));
            };
            let opened = nodes.connect(&node).await?;
            self.nodes.insert(node.clone(), opened);
        }
        self.nodes.get_mut(&node).ok_or(LogError::Reply("there is no open connection"))
    }
}
