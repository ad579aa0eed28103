//! Injects faults into a running fleet and checks that every promise held.
//!
//! `cargo run --release -p chaos -- --seed 1 --schedules 20 --jobs 6`. Each schedule has real
//! redis-servers of its own, a primary and a replica, several reader processes behind a proxy
//! each, publishers that record the truth, and clients that keep asking; faults come as the seed
//! says. Exits with 1 if a promise was broken. `docs/chaos.md` says what is injected, what is
//! checked, and how to read what is printed.

mod checker;
mod clients;
mod decisions;
mod failure;
mod fault;
mod heartbeat;
mod history;
mod inject;
mod keys;
mod mandates;
mod message;
mod proxy;
mod publishers;
mod quiet;
mod reader;
mod readers;
mod report;
mod run;
mod schedule;
mod server;
mod servers;
mod time;
mod truth;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures_util::{StreamExt, stream};

use failure::Failure;
use fault::Kind;
use history::Minimum;
use report::Report;
use run::Extent;
use schedule::{Frame, Schedule, Trait};

/// Injects faults into a running fleet and checks that every promise held.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The seed of the first schedule; the next ones count up from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many schedules.
    #[arg(long, default_value_t = 1)]
    schedules: u64,
    /// How many of them side by side.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Only these kinds of faults.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// How readers are run, instead of as the seed says.
    #[arg(long, value_delimiter = ',')]
    with: Vec<Trait>,
    /// How long a schedule lasts, in seconds; fewer than 30 prove little.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How many steps of faults a schedule has.
    #[arg(long, default_value_t = 8)]
    faults: usize,
    /// Print JSON, a line a schedule.
    #[arg(long)]
    json: bool,
    /// Keep readers' logs and histories of schedules that failed here.
    #[arg(long, default_value = "target/chaos")]
    keep: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum Role {
    /// Judges histories again that were kept.
    Check { files: Vec<PathBuf> },
    /// Leaves a service alone while Redis is restarted now and then: it must log nothing twice, and
    /// fire no alert that is not true.
    Quiet(quiet::Arguments),
    /// What `quiet` starts itself as: a service with metrics, alone.
    #[command(hide = true)]
    QuietService,
    /// What the program starts itself as: a service that follows Redis and answers.
    #[command(hide = true)]
    Reader,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Reader) => {
            reader::run().await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::QuietService) => {
            quiet::serve().await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Role::Quiet(arguments)) => return quiet::run(&arguments).await,
        Some(Role::Check { files }) => return check_again(&files),
        None => {}
    }
    let mut failed = Vec::new();
    let seeds = arguments.seed..arguments.seed.saturating_add(arguments.schedules);
    let mut reports = stream::iter(seeds)
        .map(|seed| {
            let arguments = &arguments;
            async move { (seed, one(arguments, seed).await) }
        })
        .buffer_unordered(arguments.jobs.max(1));
    while let Some((seed, report)) = reports.next().await {
        match report {
            Ok(report) => {
                if !report.passed {
                    failed.push(seed);
                }
                if arguments.json {
                    println!("{}", serde_json::to_string(&report)?);
                } else {
                    println!("{report}");
                }
            }
            Err(failure) => {
                eprintln!("seed {seed}: the harness itself failed: {failure}");
                failed.push(seed);
            }
        }
    }
    drop(reports);
    if !arguments.json {
        println!(
            "{} of {} schedules passed",
            arguments.schedules - failed.len() as u64,
            arguments.schedules
        );
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    failed.sort_unstable();
    eprintln!("failed seeds: {failed:?}; logs and histories in {}", arguments.keep.display());
    Ok(ExitCode::FAILURE)
}

fn check_again(files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let report = Report::of(&serde_json::from_slice(&std::fs::read(file)?)?);
        println!("{report}");
        if !report.passed {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn one(arguments: &Arguments, seed: u64) -> Result<Report, Failure> {
    let kinds = if arguments.only.is_empty() { Kind::ALL.to_vec() } else { arguments.only.clone() };
    let frame = Frame { faults: arguments.faults, kinds, with: arguments.with.clone() };
    let schedule = Schedule::generate(seed, &frame);
    let extent = Extent {
        length: Duration::from_secs(arguments.seconds),
        minimum: minimum(arguments.seconds),
    };
    let folder = arguments.keep.join(format!("seed-{seed}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let history = run::run(schedule, extent, folder.clone()).await?;
    let report = Report::of(&history);
    if report.passed {
        std::fs::remove_dir_all(&folder)?;
    } else {
        std::fs::write(folder.join("history.json"), serde_json::to_vec(&history)?)?;
    }
    Ok(report)
}

/// A full schedule must have had enough in it; a shorter one is for trying things out.
const fn minimum(seconds: u64) -> Minimum {
    if seconds >= 30 {
        Minimum { seconds: 30, faults: 5, revocations: 200, requests: 1_000 }
    } else {
        Minimum { seconds: 0, faults: 1, revocations: 1, requests: 1 }
    }
}
