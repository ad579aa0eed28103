//! The command line of `dead-letters`.

use caracal_revocation_event::{Stream, StreamId};
use clap::{Args, Subcommand};

use super::parse;

pub(super) const EXAMPLES: &str = "\
Reads both shapes in the field: original_id, error, values, and source_id, reason, payload. A replay
verifies the message again and never writes what was not validly signed; the letter is removed
once its message is in the stream.

Examples:
  caracal-streams dead-letters list --cause signature
  caracal-streams dead-letters replay --stream caracal.sessions.revoke --all
  caracal-streams dead-letters drop --stream caracal.keys.invalidate 1763805600123-0";

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// One JSON object a letter, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List them, the oldest first
    List {
        /// Only those of this stream
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Option<Stream>,
        /// Only those of this cause, as in signature, malformed or ambiguous
        #[arg(long)]
        cause: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: usize,
    },
    /// Show one: its fields, and whether it could be replayed
    Show {
        /// Its stream (not that of the dead letters)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        /// Its id in the dead-letter stream
        id: StreamId,
    },
    /// Verify them again, and write what is validly signed to its stream
    Replay {
        /// Their stream (not that of the dead letters)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        #[command(flatten)]
        picked: Picked,
        /// Keep the letter
        #[arg(long)]
        keep: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove them for good
    Drop {
        /// Their stream (not that of the dead letters)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        #[command(flatten)]
        picked: Picked,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Picked {
    /// Their ids in the dead-letter stream
    #[arg(conflicts_with_all = ["all", "cause"])]
    ids: Vec<StreamId>,
    /// All of the stream
    #[arg(long, conflicts_with = "cause")]
    all: bool,
    /// All of this cause, as in signature, malformed or ambiguous
    #[arg(long)]
    cause: Option<String>,
}

impl Picked {
    pub(crate) const fn of_cause(cause: Option<String>) -> Self {
        Self { ids: Vec::new(), all: cause.is_none(), cause }
    }

    /// Returns `true` if the letter at `id` was asked for.
    pub(crate) fn takes(&self, id: StreamId, cause: &str) -> bool {
        self.all || self.ids.contains(&id) || self.cause.as_deref() == Some(cause)
    }
}
