//! The command line of `watch`.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use clap::Args;

use super::parse::{self, From};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  caracal-streams watch                             what arrives from now on, full-screen
  caracal-streams watch --since 15m --lines         the last quarter of an hour, and on
  caracal-streams watch --from 0 --until-idle --json | jq 'select(.outcome == \"rejected\")'

In the full-screen view: q ends, p pauses the list of messages. A signal ends it too, with exit code
128 and the signal's number, and gives the terminal back.")]
pub(crate) struct WatchArgs {
    /// Show messages from this id on: MS-SEQ, MS, 0 for all, $ for those to come
    #[arg(long, value_name = "ID", value_parser = parse::from, conflicts_with = "since")]
    from: Option<From>,
    /// Show messages of the last 30s, 15m, 2h or 1d, and on
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    since: Option<Duration>,
    /// End when every message that is there was shown and no other came for a second
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// One JSON object a message, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// One line a message, in a terminal too
    #[arg(long, conflicts_with = "json")]
    lines: bool,
}

impl WatchArgs {
    /// Returns `true` if the view takes the whole terminal.
    pub(crate) const fn is_full_screen(&self, is_terminal: bool) -> bool {
        is_terminal && !self.json && !self.lines && !self.until_idle && self.count.is_none()
    }

    /// The first id to show, given this machine's time since the Unix epoch; none for what is to
    /// come.
    pub(crate) fn first(&self, now: Duration) -> Option<StreamId> {
        match (self.since, self.from) {
            (Some(since), _) => {
                let ms = now.saturating_sub(since).as_millis();
                Some(StreamId::new(u64::try_from(ms).unwrap_or(u64::MAX), 0))
            }
            (None, Some(From::Id(id))) => Some(id),
            // What is there is to be shown to its end.
            (None, None) if self.until_idle => Some(StreamId::ZERO),
            (None, Some(From::Now) | None) => None,
        }
    }
}
