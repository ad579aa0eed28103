//! The command line of `fleet`.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use clap::Args;

use super::parse;

pub(super) const EXAMPLES: &str = "\
Lists each replica that wrote a receipt within the last 15 seconds. A follower configured with
with_receipts(NAME) writes them. Exit code 0: all are ready and have applied the message; 1: no.

Examples:
  caracal-streams fleet
  caracal-streams fleet --watch --expect 12
  caracal-streams fleet --message caracal.sessions.revoke/1795400000000-0 --expect 12 --wait
  id=$(caracal-streams publish revoke --zone z-1 --session ar-1 --yes --json | jq -r .id)
  caracal-streams fleet --message \"caracal.sessions.revoke/$id\" --wait --json";

#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// Check that all replicas have applied this message
    #[arg(long, value_name = "STREAM/ID", value_parser = message)]
    pub(crate) message: Option<MessageId>,
    /// The minimum number of replicas
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) expect: usize,
    /// Wait until all are ready and have applied the message
    #[arg(long)]
    pub(crate) wait: bool,
    /// The maximum time to wait: 30s, 15m, 2h or 1d
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse::span)]
    pub(crate) timeout: Duration,
    /// Show the replicas live, until q or a signal: full-screen in a terminal, else one line a second
    #[arg(long, conflicts_with_all = ["message", "wait", "timeout"])]
    pub(crate) watch: bool,
    /// Write one JSON object, for programs; with --watch one each second
    #[arg(long)]
    pub(crate) json: bool,
}

impl FleetArgs {
    /// Returns `true` if the view fills the terminal.
    pub(crate) const fn is_full_screen(&self, is_terminal: bool) -> bool {
        self.watch && is_terminal && !self.json
    }
}

/// The stream of a message, and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId {
    pub(crate) stream: Stream,
    pub(crate) id: StreamId,
}

fn message(text: &str) -> Result<MessageId, String> {
    let (stream, id) = text.rsplit_once('/').ok_or("expected STREAM/ID")?;
    let id = id.parse().map_err(|error| format!("{error}"))?;
    Ok(MessageId { stream: parse::stream(stream)?, id })
}
