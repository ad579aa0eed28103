//! `caracal-streams`: the operator's program for Caracal's streams.
//!
//! Each command has its own file. [`cli`] defines the command line, and [`settings`] finds the
//! server and the keys. A command writes to the output that it receives, and returns the outcome of
//! the program.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name settings in brackets")]

mod cli;
mod dead_letters;
mod doctor;
mod drill;
mod explain;
mod fleet;
mod full_screen;
mod message;
mod outcome;
mod output;
mod provision;
mod publish;
mod publishing;
mod record;
mod retention;
mod revoke_many;
mod settings;
mod signals;
mod signature;
mod stream_key;
mod text;
mod token;
mod url;
mod watch;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::outcome::{Failure, Outcome};
use crate::output::{Output, note};
use crate::settings::Sources;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::new();
    match run(cli, &mut out).await.and_then(|outcome| Ok((out.flush()?, outcome).1)) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            note(format_args!("caracal-streams: {failure}"));
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli, out: &mut Output) -> Result<Outcome, Failure> {
    let sources = || Sources::of(&cli.connect);
    match cli.command {
        Command::Provision(args) => provision::provision(&sources()?, &args.report, out).await,
        Command::Verify(args) => provision::verify(&sources()?, &args, out).await,
        Command::Watch(args) if args.is_full_screen(std::io::stdout().is_terminal()) => {
            watch::screen(&sources()?, &args).await
        }
        Command::Watch(args) => watch::lines(&sources()?, &args, out).await,
        Command::Publish(args) => publish::publish(&sources()?, &args, out).await,
        Command::Sign(args) => signature::sign(&sources()?, &args, out),
        Command::Check(args) => signature::check(&sources()?, &args, out),
        Command::Doctor(args) => doctor::doctor(&sources()?, &args, out).await,
        Command::DeadLetters(args) => dead_letters::dead_letters(&sources()?, &args, out).await,
        Command::Explain(args) => explain::explain(&sources()?, &args, out).await,
        Command::Retention(args) => retention::retention(&sources()?, &args, out).await,
        Command::Fleet(args) if args.is_full_screen(std::io::stdout().is_terminal()) => {
            fleet::screen(&sources()?, &args).await
        }
        Command::Fleet(args) if args.watch => fleet::lines(&sources()?, &args, out).await,
        Command::Fleet(args) => fleet::report(&sources()?, &args, out).await,
        Command::Drill(args) => drill::drill(&sources()?, &args, out).await,
        Command::Completions { shell } => {
            cli::completions(shell, out);
            Ok(Outcome::Ok)
        }
        Command::Man { folder } => cli::manual(&folder).map(|()| Outcome::Ok),
    }
}
