//! `caracal-guard`: denies revoked Caracal mandates for other proxies, or as a reverse proxy.

mod baseline;
mod check;
mod cli;
mod config;
mod decider;
mod envoy;
mod identity;
mod manual;
mod parts;
#[cfg(feature = "opa")]
mod policy;
mod proxy;
mod reloads;
mod routes;
mod run;
mod server;
mod spoe;
mod trial;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::prelude::*;

use cli::{Cli, Command};

/// Requests and responses allocate often. This allocator makes the reverse proxy a tenth faster than
/// the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a configuration that cannot be used.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // A trial prints its own events.
    let is_trial = matches!(cli.command, Some(Command::Try(_)));
    let usual = if is_trial { tracing::Level::ERROR } else { tracing::Level::INFO };
    let levels = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse().ok());
    let levels =
        levels.unwrap_or_else(|| tracing_subscriber::filter::Targets::new().with_default(usual));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(levels).init();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        None => run::run(cli.flags).await.map(done),
        Some(Command::CheckConfig(flags)) => run::check(&flags).map(done),
        Some(Command::Try(args)) => trial::run(&args).await,
        Some(Command::Completions { shell }) => manual::completions(shell).map(done),
        Some(Command::Man { folder }) => manual::pages(&folder).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Prints an error for the person who started the program.
#[expect(clippy::print_stderr, reason = "a program reports errors there")]
fn report(error: &config::ConfigError) {
    eprintln!("error: {error}");
}
