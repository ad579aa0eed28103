//! The definition of the command line: `--help`, the completions and the man pages.

mod dead_letters;
mod drill;
mod explain;
mod fleet;
mod parse;
mod publish;
mod retention;
mod revoke;
mod watch;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use caracal_revocation_event::Stream;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use dead_letters::{DeadLettersArgs, DeadLettersCommand, Picked};
pub(crate) use drill::DrillArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use fleet::{FleetArgs, MessageId};
pub(crate) use parse::one_line;
#[cfg(test)]
pub(crate) use publish::SessionArgs;
pub(crate) use publish::{PublishArgs, PublishCommand};
pub(crate) use retention::{RetentionArgs, RetentionCommand};
pub(crate) use revoke::{AnchorKind, RevokeArgs};
pub(crate) use watch::WatchArgs;

use crate::outcome::Failure;

const SETTINGS: &str = "\
Settings, in this order: flags, the environment, a file of NAME=value lines (--settings, else
streams.env in $CARACAL_HOME, or ~/.local/share/caracal).

  REDIS_URL            redis://, rediss:// or unix://
  REDIS_HOST           instead of REDIS_URL, with REDIS_PORT
  REDIS_SENTINELS      instead of REDIS_URL: host:port,… with REDIS_SENTINEL_MASTER
  REDIS_CLUSTER_NODES  instead of REDIS_URL: host:port,… of some nodes of a cluster
  REDIS_PASSWORD_FILE  the password's file; else REDIS_PASSWORD; else (with REDIS_HOST) the file
                       redisPassword in $CARACAL_SECRETS_DIR, or in $CARACAL_HOME/secrets
  STREAMS_HMAC_KEY     the stream key, or STREAMS_HMAC_KEY_FILE
  STREAMS_HMAC_KEY_PREVIOUS  a second accepted key, during a rotation; or its _FILE
  CARACAL_MODE         dev, rc or stable; only dev runs without a key
  DATABASE_URL         Caracal's Postgres, or DATABASE_URL_FILE; only to revoke by criteria

Exit codes: 0 fine or yes; 1 no (missing, rejected, denied, a warning); 2 broken or no answer.

Examples:
  REDIS_URL=redis://localhost caracal-streams provision
  caracal-streams --host redis.internal --password-file /run/secrets/redis verify
  caracal-streams watch --from 0 --until-idle --json
  caracal-streams publish revoke --zone z-1 --session ar-1 --reason compromised";

/// Provisions, diagnoses, watches and publishes to Caracal's revocation streams.
#[derive(Debug, Parser)]
#[command(name = "caracal-streams", version, after_help = SETTINGS, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connect: Connect,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags for the server and the keys. No flag takes a secret: every user of the machine can
/// read command lines.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Address of Redis without a password, as in redis://user@host:6379 [REDIS_URL]
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["host", "port"])]
    #[arg(help_heading = "Connection")]
    pub(crate) url: Option<String>,
    /// Host of Redis [REDIS_HOST]
    #[arg(long, global = true, help_heading = "Connection")]
    host: Option<String>,
    /// Port of Redis [REDIS_PORT]
    #[arg(long, global = true, requires = "host", help_heading = "Connection")]
    port: Option<u16>,
    /// File with the password of Redis [REDIS_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    password_file: Option<PathBuf>,
    /// File with the stream key [STREAMS_HMAC_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    key_file: Option<PathBuf>,
    /// File with a second accepted key [STREAMS_HMAC_KEY_PREVIOUS_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    previous_key_file: Option<PathBuf>,
    /// dev, rc or stable [CARACAL_MODE]
    #[arg(long, global = true, help_heading = "Connection")]
    mode: Option<String>,
    /// File with settings as NAME=value lines
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) settings: Option<PathBuf>,
}

impl Connect {
    /// Returns the flags that were given, under the names of their environment variables.
    pub(crate) fn named(&self) -> HashMap<String, String> {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let flags = [
            ("REDIS_URL", self.url.clone()),
            ("REDIS_HOST", self.host.clone()),
            ("REDIS_PORT", self.port.map(|port| port.to_string())),
            ("REDIS_PASSWORD_FILE", path(&self.password_file)),
            ("STREAMS_HMAC_KEY_FILE", path(&self.key_file)),
            ("STREAMS_HMAC_KEY_PREVIOUS_FILE", path(&self.previous_key_file)),
            ("CARACAL_MODE", self.mode.clone()),
        ];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the missing streams and consumer groups; change nothing that exists
    Provision(ProvisionArgs),
    /// Check that all streams and groups exist: provisioning would change nothing
    Verify(ReportArgs),
    /// Connect as a consumer would, and report problems with their remedy
    #[command(after_help = "Exit code 0: all is fine; 1: warnings; 2: broken.")]
    Doctor(DoctorArgs),
    /// Follow the streams live: full-screen in a terminal, else one line per message
    Watch(WatchArgs),
    /// Write a correctly signed message
    #[command(after_help = publish::EXAMPLES)]
    Publish(PublishArgs),
    /// Sign one message from standard input
    #[command(after_help = "\
Example:
  echo '{\"stream\":\"caracal.keys.invalidate\",\"fields\":{\"zone_id\":\"z-1\"}}' \\
    | caracal-streams sign | caracal-streams check")]
    Sign(SignArgs),
    /// Verify one message from standard input as a follower would
    Check(CheckArgs),
    /// List, show, replay and drop dead letters
    #[command(after_help = dead_letters::EXAMPLES)]
    DeadLetters(DeadLettersArgs),
    /// Report whether a token would be denied now, why, and by which message
    #[command(after_help = explain::EXAMPLES)]
    Explain(ExplainArgs),
    /// Trim entries that are older than a day and that no group needs
    Retention(RetentionArgs),
    /// Report whether all replicas have applied a message, and how fast
    #[command(after_help = fleet::EXAMPLES)]
    Fleet(FleetArgs),
    /// Publish a harmless revocation, and measure when every replica has applied it
    #[command(after_help = drill::EXAMPLES)]
    Drill(DrillArgs),
    /// Print a script that completes this program's command line
    Completions {
        /// The shell to print it for
        shell: Shell,
    },
    /// Write the man pages into a folder
    Man {
        /// The folder; it is created if it is missing
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write one JSON object, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Accepted for uniform scripts: provisioning never asks
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Write one JSON object, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Accept rights to change the streams: this is a producer's or an operator's user
    #[arg(long)]
    pub(crate) may_publish: bool,
    /// Show every check and every symptom, not only problems
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The stream, if the message does not name it
    #[arg(long, value_parser = parse::stream)]
    pub(crate) stream: Option<Stream>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The message is {\"stream\": NAME, \"fields\": …}: the fields as an object, or as a list of
[name, value] in the order on the wire. Exit code 0: applied; 1: rejected.")]
pub(crate) struct CheckArgs {
    /// The stream, if the message does not name it
    #[arg(long, value_parser = parse::stream)]
    pub(crate) stream: Option<Stream>,
    /// Write one JSON object, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes a script that completes the command line.
pub(crate) fn completions(shell: Shell, out: &mut impl Write) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "caracal-streams", &mut script);
    // A reader that is gone needs no more output.
    let _ = out.write_all(&script);
}

/// Writes `caracal-streams.1`, and a page for each command, into `folder`. Creates the folder.
pub(crate) fn manual(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}
