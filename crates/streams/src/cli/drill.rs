//! The command line of `drill`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::parse;

pub(super) const EXAMPLES: &str = "\
Publishes a signed revocation of a random anchor, which no token has, and waits until the receipts
of all replicas show that they applied it. A follower configured with with_receipts(NAME) writes
receipts.

With --probe, the message revokes a real token instead, for good: the service must admit the token
before, and answer 401 afterwards.

Exit code 0: every stage was within the bound; 1: too slow, or a replica or service is missing; 2:
no answer possible, such as without Redis or without receipts.

Examples:
  caracal-streams drill --replicas 12 --within 500ms
  caracal-streams drill --ready http://gw-1:9464 --json
  caracal-streams drill --probe http://gw-1/orders --probe-token-file token
  caracal-streams drill --every 1m --metrics-listen 127.0.0.1:9465";

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// The maximum delay of each stage: 500ms, 30s or 15m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse::span)]
    pub(crate) within: Duration,
    /// The minimum number of replicas [default: those that write receipts at the start]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) replicas: Option<u32>,
    /// Also ask /ready of this service; repeat the flag for several
    #[arg(long = "ready", value_name = "URL", value_parser = parse::http_url)]
    pub(crate) ready: Vec<http::Uri>,
    /// Also send a token to this URL, revoke it, and measure the time until it is denied
    #[arg(long, value_name = "URL", requires = "probe_token_file", conflicts_with = "every")]
    #[arg(value_parser = parse::http_url)]
    pub(crate) probe: Option<http::Uri>,
    /// File with the token that the probe sends, and that the drill revokes
    #[arg(long, value_name = "FILE", requires = "probe")]
    pub(crate) probe_token_file: Option<PathBuf>,
    /// The anchor of the token to revoke [default: its claim sid]
    #[arg(long, value_name = "ID", requires = "probe", value_parser = parse::one_line)]
    pub(crate) probe_anchor: Option<String>,
    /// The zone in the message [default: the token's zone, else caracal-drill]
    #[arg(long, value_parser = parse::one_line)]
    pub(crate) zone: Option<String>,
    /// Repeat the drill until a signal ends it: 10s or more
    #[arg(long, value_name = "TIME", value_parser = every)]
    pub(crate) every: Option<Duration>,
    /// Serve metrics for Prometheus on this address
    #[arg(long, value_name = "ADDR", requires = "every")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Do not ask before a probe revokes its token
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write one JSON object for each drill, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// The shortest interval. The messages of a day then stay below the stream's intended length.
const SHORTEST: Duration = Duration::from_secs(10);

fn every(text: &str) -> Result<Duration, String> {
    let every = parse::span(text)?;
    if every < SHORTEST {
        return Err("expected 10s or more: each drill adds an entry to the stream".to_owned());
    }
    Ok(every)
}
