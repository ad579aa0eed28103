//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Denies revoked Caracal mandates for other proxies, or as a reverse proxy.
///
/// Each setting comes from a flag, else from the environment, else from the file. The settings of
/// Redis, its keys and the staleness bound are those of the library: REDIS_URL, STREAMS_HMAC_KEY
/// and more, in the environment or in the file's table settings.
#[derive(Debug, Parser)]
#[command(name = "caracal-guard", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks the configuration and exits: 0 if it can be used, else 2 with the reason.
    CheckConfig(Box<Flags>),
    /// Starts a guarded sample service, without Redis and without configuration.
    ///
    /// An issuer, the revocations and the service are in this process. The program prints commands
    /// to copy: a mandate is admitted, revoked and denied, and an open event stream is cut.
    Try(TryArgs),
    /// Writes the completions of a shell to standard output.
    Completions { shell: Shell },
    /// Writes the man pages into a folder.
    Man { folder: PathBuf },
}

/// The options of a trial.
#[derive(Clone, Debug, Args)]
pub(crate) struct TryArgs {
    /// Listen on this address [default: 127.0.0.1:8080, or a free port if that one is in use]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Run the steps of the trial and exit: 0 if each had its result, else 1
    #[arg(long)]
    pub(crate) self_check: bool,
}

/// The settings that can be flags.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// The configuration file (TOML) [env: CARACAL_GUARD_CONFIG]
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Serve as a reverse proxy on this address [env: CARACAL_GUARD_LISTEN]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners")]
    pub(crate) listen: Option<String>,
    /// The service behind the reverse proxy, http or https [env: CARACAL_GUARD_UPSTREAM]
    #[arg(long, value_name = "URL", help_heading = "Listeners")]
    pub(crate) upstream: Option<String>,
    /// Answer HTTP checks of nginx, Caddy, Traefik and others [env: CARACAL_GUARD_CHECK]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners")]
    pub(crate) check: Option<String>,
    /// Answer Envoy's ext_authz and ext_proc [env: CARACAL_GUARD_EXT_AUTHZ]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners")]
    pub(crate) ext_authz: Option<String>,
    /// Answer HAProxy's SPOE [env: CARACAL_GUARD_SPOE]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners")]
    pub(crate) spoe: Option<String>,
    /// Answer /metrics, /health, /ready, /status and a page at / [env: CARACAL_GUARD_OPERATIONS]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners")]
    pub(crate) operations: Option<String>,
    /// Write receipts under this name, for `caracal-streams fleet` and `drill` [env:
    /// CARACAL_GUARD_REPLICA]
    #[arg(long, value_name = "NAME", help_heading = "Listeners")]
    pub(crate) replica: Option<String>,
    /// The issuer of mandates: the URL of the STS [env: CARACAL_ISSUER]
    #[arg(long, value_name = "URL", help_heading = "Tokens")]
    pub(crate) issuer: Option<String>,
    /// An audience that mandates may have; repeat it for more [env: CARACAL_AUDIENCE, separated by
    /// commas]
    #[arg(long, value_name = "AUDIENCE", help_heading = "Tokens")]
    pub(crate) audience: Vec<String>,
    /// The zone of mandates [env: CARACAL_ZONE]
    #[arg(long, value_name = "ZONE", help_heading = "Tokens")]
    pub(crate) zone: Option<String>,
    /// The URL of the zone's keys, instead of the issuer's [env: CARACAL_JWKS_URL]
    #[arg(long, value_name = "URL", help_heading = "Tokens")]
    pub(crate) jwks_url: Option<String>,
    /// Read claims without verifying tokens: only where the proxy itself has verified them
    /// [env: CARACAL_GUARD_INSECURE_UNVERIFIED_CLAIMS]
    #[arg(long, help_heading = "Tokens")]
    pub(crate) insecure_unverified_claims: bool,
    /// Accept keys over plain http from other machines [env: CARACAL_GUARD_INSECURE_HTTP_KEYS]
    #[arg(long, help_heading = "Tokens")]
    pub(crate) insecure_http_keys: bool,
    /// Admit mandates of use `gateway` and `resource` once (profile `gateway`) [env:
    /// CARACAL_GUARD_SINGLE_USE]
    #[arg(long, help_heading = "Tokens")]
    pub(crate) single_use: bool,
}
