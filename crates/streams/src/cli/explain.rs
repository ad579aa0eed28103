//! The command line of `explain`.

use caracal_revocation_state::{Claims, Hop};
use clap::Args;

pub(super) const EXAMPLES: &str = "\
Without ids, it reads the token from standard input: never put a token on a command line. The token
is not shown, and its own signature is not checked. Exit code 0: admitted; 1: denied; 2: unknown.

Examples:
  caracal-streams explain < token
  caracal-streams explain --sid ar-1 --agent-session gs-1 --iat 1795400000";

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// An authority record (sid)
    #[arg(long, value_name = "ID")]
    sid: Option<Box<str>>,
    /// A root authority record (root_sid)
    #[arg(long, value_name = "ID")]
    root_sid: Option<Box<str>>,
    /// A governed session (agent_session_id)
    #[arg(long, value_name = "ID")]
    agent_session: Option<Box<str>>,
    /// A delegation (delegation_edge_id)
    #[arg(long, value_name = "ID")]
    delegation: Option<Box<str>>,
    /// A governed session of an earlier hop; may be repeated
    #[arg(long = "chain-session", value_name = "ID")]
    chain_sessions: Vec<Box<str>>,
    /// A delegation of an earlier hop; may be repeated
    #[arg(long = "chain-delegation", value_name = "ID")]
    chain_delegations: Vec<Box<str>>,
    /// The zone, for the delegation epoch
    #[arg(long, value_name = "ID", requires = "epoch")]
    zone: Option<Box<str>>,
    /// The delegation graph epoch at which the token was issued
    #[arg(long, value_name = "N", requires = "zone")]
    epoch: Option<u64>,
    /// The time of issue, in seconds since the Unix epoch [default: after every message]
    #[arg(long, value_name = "SECONDS")]
    iat: Option<i64>,
    /// Write one JSON object, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

impl ExplainArgs {
    /// Returns the claims of a token with the given ids, or `None` if no id was given. The token
    /// never expires.
    pub(crate) fn claims(&self) -> Option<Claims> {
        let own = [&self.sid, &self.root_sid, &self.agent_session, &self.delegation, &self.zone];
        let chain = self.chain_sessions.iter().chain(&self.chain_delegations);
        if own.iter().all(|id| id.is_none()) && chain.count() == 0 {
            return None;
        }
        let sid = self.sid.as_deref().unwrap_or_default();
        let mut claims = Claims::new(sid, self.iat.unwrap_or(i64::MAX), i64::MAX);
        claims.root_sid.clone_from(&self.root_sid);
        claims.agent_session_id.clone_from(&self.agent_session);
        claims.delegation_edge_id.clone_from(&self.delegation);
        let sessions = self.chain_sessions.iter().cloned();
        claims.delegation_chain.extend(sessions.map(|session| Hop::new(Some(session), None)));
        let edges = self.chain_delegations.iter().cloned();
        claims.delegation_chain.extend(edges.map(|edge| Hop::new(None, Some(edge))));
        claims.zone_id.clone_from(&self.zone);
        claims.delegation_graph_epoch = self.epoch.unwrap_or(0);
        Some(claims)
    }
}
