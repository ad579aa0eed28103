//! The command line of `publish`.

use caracal_revocation_event::{DelegationEvent, OccurredAt};
use clap::{Args, Subcommand, ValueEnum};

use super::revoke::RevokeArgs;
use super::{parse, revoke};

pub(super) const EXAMPLES: &str = "\
Shows the message and asks before writing it; --yes skips the question.

Examples:
  caracal-streams publish revoke --zone z-1 --session ar-1 --reason compromised
  caracal-streams publish --yes keys --zone z-1
  caracal-streams publish delegation --zone z-1 --event revoke --edge de-1 --epoch 42";

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Do not ask
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Write one JSON object per written message, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: PublishCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PublishCommand {
    /// Revoke authority records, sessions and delegations, permanently
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(Box<RevokeArgs>),
    /// Make services forget a zone's keys, and all tokens verified with them
    Keys {
        /// The zone
        #[arg(long, value_parser = parse::one_line)]
        zone: String,
    },
    /// Make services reload a zone's policy bundle
    Policy {
        /// The zone
        #[arg(long, value_parser = parse::one_line)]
        zone: String,
        /// The policy set (policy_set_id)
        #[arg(long, value_name = "ID", value_parser = parse::one_line)]
        policy_set: Option<String>,
        /// The version that is in force (policy_set_version_id)
        #[arg(long, value_name = "ID", value_parser = parse::one_line)]
        version: Option<String>,
    },
    /// Move a zone's delegation graph to an epoch
    Delegation {
        /// The zone
        #[arg(long, value_parser = parse::one_line)]
        zone: String,
        /// The event of the delegations
        #[arg(long, value_enum)]
        event: EdgeEvent,
        /// A delegation; repeat the flag only for expire
        #[arg(long = "edge", value_name = "ID", required = true, value_parser = parse::one_line)]
        edges: Vec<String>,
        /// The epoch; services keep the highest that they receive
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
    #[arg(long, value_parser = parse::one_line)]
    pub(crate) zone: String,
    /// The governed session (agent_session_id)
    #[arg(long, value_name = "ID", value_parser = parse::one_line)]
    pub(crate) agent_session: String,
    /// The time of the event, ISO 8601 [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse::occurred)]
    pub(crate) at: Option<OccurredAt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EdgeEvent {
    /// A new delegation: nothing is revoked
    Create,
    /// The delegation was revoked
    Revoke,
    /// The delegations expired
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
