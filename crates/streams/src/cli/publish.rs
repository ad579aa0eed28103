//! The command line of `publish`.

use caracal_revocation_event::{DelegationEvent, OccurredAt};
use clap::{Args, Subcommand, ValueEnum};

use super::parse;

pub(super) const EXAMPLES: &str = "\
Shows the message and asks before it writes it; --yes goes on without.

Examples:
  caracal-streams publish revoke --zone z-1 --session ar-1 --reason compromised
  caracal-streams publish --yes keys --zone z-1
  caracal-streams publish delegation --zone z-1 --event revoke --edge de-1 --epoch 42";

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Do not ask
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// One JSON object a message that was written, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: PublishCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PublishCommand {
    /// Revoke authority records, sessions and delegations, for good
    Revoke {
        /// The zone
        #[arg(long, value_parser = parse::word)]
        zone: String,
        /// An authority record (session_id)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        session: Option<String>,
        /// A root authority record (root_sid)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        root: Option<String>,
        /// A governed session (agent_session_id)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        agent_session: Option<String>,
        /// A delegation (delegation_edge_id)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        delegation: Option<String>,
        /// Why, for whoever reads the log
        #[arg(long, default_value = "operator", value_parser = parse::word)]
        reason: String,
    },
    /// Make services forget a zone's keys, and all that was verified with them
    Keys {
        /// The zone
        #[arg(long, value_parser = parse::word)]
        zone: String,
    },
    /// Make services load a zone's policy bundle again
    Policy {
        /// The zone
        #[arg(long, value_parser = parse::word)]
        zone: String,
        /// The policy set (policy_set_id)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        policy_set: Option<String>,
        /// The version that is in force (policy_set_version_id)
        #[arg(long, value_name = "ID", value_parser = parse::word)]
        version: Option<String>,
    },
    /// Move a zone's delegation graph to an epoch
    Delegation {
        /// The zone
        #[arg(long, value_parser = parse::word)]
        zone: String,
        /// What happened to the delegations
        #[arg(long, value_enum)]
        event: EdgeEvent,
        /// A delegation; several only where they expire
        #[arg(long = "edge", value_name = "ID", required = true, value_parser = parse::word)]
        edges: Vec<String>,
        /// The epoch: services take the highest that they hear of
        #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
        epoch: u64,
    },
    /// Suspend a governed session, until it is resumed
    Suspend(SessionArgs),
    /// End the earlier suspensions of a governed session
    Resume(SessionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The zone
    #[arg(long, value_parser = parse::word)]
    pub(crate) zone: String,
    /// The governed session (agent_session_id)
    #[arg(long, value_name = "ID", value_parser = parse::word)]
    pub(crate) agent_session: String,
    /// When it occurred, ISO 8601; now if left out
    #[arg(long, value_name = "TIME", value_parser = parse::occurred)]
    pub(crate) at: Option<OccurredAt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EdgeEvent {
    /// A new delegation: nothing is revoked
    Create,
    /// It was revoked
    Revoke,
    /// It expired
    Expire,
}

impl From<EdgeEvent> for DelegationEvent {
    fn from(event: EdgeEvent) -> Self {
        match event {
            EdgeEvent::Create => Self::Create,
            EdgeEvent::Revoke => Self::Revoke,
            EdgeEvent::Expire => Self::Expire,
        }
    }
}
