//! The command line of `watch`.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use clap::Args;

use super::parse::{self, From};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  caracal-streams watch                             messages from now on, full-screen
  caracal-streams watch --since 15m --lines         messages since 15 minutes ago, as lines
  caracal-streams watch --from 0 --until-idle --json | jq 'select(.outcome == \"rejected\")'

In the full-screen view, q quits and p pauses the list of messages. A signal also ends it: the
terminal is restored, and the exit code is 128 plus the signal's number.")]
pub(crate) struct WatchArgs {
    /// Show messages from this id on: MS-SEQ, MS, 0 for all, $ for new ones
    #[arg(long, value_name = "ID", value_parser = parse::from, conflicts_with = "since")]
    from: Option<From>,
    /// Show messages of the last 30s, 15m, 2h or 1d, and new ones
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    since: Option<Duration>,
    /// End once all existing messages are shown and no new one came for a second
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// End after this number of messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Write one JSON object per message, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Write one line per message, in a terminal too
    #[arg(long, conflicts_with = "json")]
    lines: bool,
}

impl WatchArgs {
    /// Returns `true` if the view fills the terminal.
    pub(crate) const fn is_full_screen(&self, is_terminal: bool) -> bool {
        is_terminal && !self.json && !self.lines && !self.until_idle && self.count.is_none()
    }

    /// Returns the first id to show, given this machine's time since the Unix epoch. Returns `None`
    /// if only new messages are shown.
    pub(crate) fn first(&self, now: Duration) -> Option<StreamId> {
        match (self.since, self.from) {
            (Some(since), _) => {
                let ms = now.saturating_sub(since).as_millis();
                Some(StreamId::new(u64::try_from(ms).unwrap_or(u64::MAX), 0))
            }
            (None, Some(From::Id(id))) => Some(id),
            // Without a start, `--until-idle` shows all existing messages.
            (None, None) if self.until_idle => Some(StreamId::ZERO),
            (None, Some(From::Now) | None) => None,
        }
    }
}
