//! The command line of `publish revoke`.

use std::path::PathBuf;
use std::time::Duration;

use caracal_revocation_event::OccurredAt;
use clap::{Args, ValueEnum};

use super::parse;

pub(super) const EXAMPLES: &str = "\
Revokes one message's anchors, or many:

  from a file: JSON lines such as {\"zone_id\":\"z-1\",\"session_id\":\"ar-1\"}, or one id per line.
  from Caracal's Postgres (DATABASE_URL): the records, sessions and delegations that meet every
    criterion (--application, --subject, --grant, --issued-before, --zone), and all below them.

Postgres decides what is revoked in the end, and this command changes nothing there. Revoke the same
in Caracal too: services forget a revocation after 24 hours.

Exit codes: 0 all published, and every replica has applied the last message; 1 nothing to revoke, or
a replica has not applied it in time; 2 not everything was published: run the same command again.

Examples:
  caracal-streams publish revoke --application app-1 --dry-run
  caracal-streams publish revoke --application app-1 --reason stolen-key --expect 12 --yes
  caracal-streams publish revoke --zone z-1 --issued-before 2026-11-20T10:00:00Z
  caracal-streams publish revoke --zone z-1 --session ar-1 --expect 12
  caracal-streams publish revoke --zone z-1 --from-file ids.txt --kind agent-session
  jq -c '.[]' list.json | caracal-streams publish revoke --from-file - --yes";

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The zone; with --from-file, the zone of lines that name none
    #[arg(long, value_parser = parse::one_line)]
    pub(crate) zone: Option<String>,
    /// An authority record (session_id)
    #[arg(long, value_name = "ID", value_parser = parse::one_line)]
    pub(crate) session: Option<String>,
    /// A root authority record (root_sid)
    #[arg(long, value_name = "ID", value_parser = parse::one_line)]
    pub(crate) root: Option<String>,
    /// A governed session (agent_session_id)
    #[arg(long, value_name = "ID", value_parser = parse::one_line)]
    pub(crate) agent_session: Option<String>,
    /// A delegation (delegation_edge_id)
    #[arg(long, value_name = "ID", value_parser = parse::one_line)]
    pub(crate) delegation: Option<String>,
    /// The reason, for the log
    #[arg(long, default_value = "operator", value_parser = parse::one_line)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The source of many anchors.
#[derive(Debug, Args)]
#[command(next_help_heading = "Many at once")]
pub(crate) struct SourceArgs {
    /// A file of JSON lines, or of one id per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "session", "root", "agent_session", "delegation",
        "application", "subject", "grant", "issued_before", "all",
    ])]
    pub(crate) from_file: Option<PathBuf>,
    /// The kind of the ids in a file of one id per line
    #[arg(long, value_enum, default_value = "session", requires = "from_file")]
    pub(crate) kind: AnchorKind,
    /// Everything of this application
    #[arg(long, value_name = "ID", value_parser = parse::one_line, conflicts_with_all = ANCHORS)]
    pub(crate) application: Option<String>,
    /// Everything of this subject (sub)
    #[arg(long, value_name = "ID", value_parser = parse::one_line, conflicts_with_all = ANCHORS)]
    pub(crate) subject: Option<String>,
    /// Everything of the user of this grant
    #[arg(long, value_name = "ID", value_parser = parse::one_line, conflicts_with_all = ANCHORS)]
    pub(crate) grant: Option<String>,
    /// Records, sessions and delegations created before this time, ISO 8601
    #[arg(long, value_name = "TIME", value_parser = parse::occurred, conflicts_with_all = ANCHORS)]
    pub(crate) issued_before: Option<OccurredAt>,
    /// Everything, in the zone if --zone is given
    #[arg(long, conflicts_with_all = ANCHORS)]
    #[arg(conflicts_with_all = ["application", "subject", "grant", "issued_before"])]
    pub(crate) all: bool,
}

const ANCHORS: [&str; 4] = ["session", "root", "agent_session", "delegation"];

/// The way in which many anchors are revoked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Many at once")]
pub(crate) struct RunArgs {
    /// Show what would be revoked, and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The highest number of messages a second
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// The file for resuming an interrupted run [default: revoke-….journal in this folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// The minimum number of replicas that must apply the last message
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) expect: usize,
    /// The maximum time to wait for the replicas: 30s, 15m, 2h or 1d
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse::span)]
    pub(crate) timeout: Duration,
}

/// The kind of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnchorKind {
    /// Authority records (session_id)
    Session,
    /// Root authority records (root_sid)
    Root,
    /// Governed sessions (agent_session_id)
    AgentSession,
    /// Delegations (delegation_edge_id)
    Delegation,
}

impl RevokeArgs {
    /// Returns `true` if one message needs what a run of many does: a dry run, a journal, or a wait
    /// for the replicas.
    pub(crate) const fn is_run(&self) -> bool {
        let RunArgs { dry_run, rate: _, journal, expect, timeout: _ } = &self.run;
        *dry_run || journal.is_some() || *expect > 0
    }

    /// Returns `true` if the flags ask for more than one message.
    pub(crate) fn is_many(&self) -> bool {
        let SourceArgs { from_file, kind: _, application, subject, grant, issued_before, all } =
            &self.source;
        let is_named = [application, subject, grant].into_iter().any(Option::is_some);
        from_file.is_some() || is_named || issued_before.is_some() || *all
    }
}
