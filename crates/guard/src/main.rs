//! `caracal-guard`: denies revoked Caracal mandates for other proxies, or as a reverse proxy.

mod check;
mod cli;
mod config;
mod decider;
mod envoy;
mod identity;
mod proxy;
mod reloads;
mod routes;
mod run;
mod server;
mod spoe;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::prelude::*;

use cli::{Cli, Command};

/// The exit code of a configuration that cannot be used.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let levels = levels.parse().unwrap_or_else(|_| {
        tracing_subscriber::filter::Targets::new().with_default(tracing::Level::INFO)
    });
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(levels).init();
    let result = match cli.command {
        None => run::run(cli.flags).await,
        Some(Command::CheckConfig(flags)) => run::check(&flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
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
