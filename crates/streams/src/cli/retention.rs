//! The command line of `retention`.

use caracal_revocation_admin::StreamLayout;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Only this stream; may be repeated
    #[arg(long = "stream", value_name = "NAME", global = true, value_parser = provisioned)]
    streams: Vec<String>,
    /// Write one JSON object per stream, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) what: RetentionCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Report the entries that can be trimmed; change nothing
    Plan,
    /// Trim them, after a question
    Apply {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl RetentionArgs {
    /// Returns `true` if this stream was asked for.
    pub(crate) fn concerns(&self, stream: &str) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|name| name == stream)
    }
}

fn provisioned(text: &str) -> Result<String, String> {
    let known = StreamLayout::ALL.iter().any(|stream| stream.name == text);
    if known { Ok(text.to_owned()) } else { Err("expected a stream of the contract".to_owned()) }
}
