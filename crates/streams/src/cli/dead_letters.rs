//! The command line of `dead-letters`.

use caracal_revocation_event::{Stream, StreamId};
use clap::{Args, Subcommand};

use super::parse;

pub(super) const EXAMPLES: &str = "\
Reads both known shapes: original_id, error, values, and source_id, reason, payload. A replay
verifies the message again, and never writes one that is not validly signed. The letter is removed
once its message is in the stream.

Examples:
  caracal-streams dead-letters list --cause signature
  caracal-streams dead-letters replay --stream caracal.sessions.revoke --all
  caracal-streams dead-letters drop --stream caracal.keys.invalidate 1763805600123-0";

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// Write one JSON object per letter, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, oldest first
    List {
        /// Only letters of this stream
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Option<Stream>,
        /// Only letters with this cause, such as signature, malformed or ambiguous
        #[arg(long)]
        cause: Option<String>,
        /// The maximum number to list
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: usize,
    },
    /// Show one dead letter: its fields, and whether it can be replayed
    Show {
        /// The stream of its message (not the dead-letter stream)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        /// Its id in the dead-letter stream
        id: StreamId,
    },
    /// Verify dead letters again, and write the validly signed messages to their stream
    Replay {
        /// The stream of their messages (not the dead-letter stream)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        #[command(flatten)]
        picked: Picked,
        /// Keep the letters
        #[arg(long)]
        keep: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove dead letters permanently
    Drop {
        /// The stream of their messages (not the dead-letter stream)
        #[arg(long, value_name = "NAME", value_parser = parse::stream)]
        stream: Stream,
        #[command(flatten)]
        picked: Picked,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// The selection of dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Picked {
    /// Their ids in the dead-letter stream
    #[arg(conflicts_with_all = ["all", "cause"])]
    ids: Vec<StreamId>,
    /// All letters of the stream
    #[arg(long, conflicts_with = "cause")]
    all: bool,
    /// All letters with this cause, such as signature, malformed or ambiguous
    #[arg(long)]
    cause: Option<String>,
}

impl Picked {
    pub(crate) const fn of_cause(cause: Option<String>) -> Self {
        Self { ids: Vec::new(), all: cause.is_none(), cause }
    }

    /// Returns `true` if the letter with this id and cause is selected.
    pub(crate) fn takes(&self, id: StreamId, cause: &str) -> bool {
        self.all || self.ids.contains(&id) || self.cause.as_deref() == Some(cause)
    }
}
