//! Injects faults into a running fleet and checks that every promise held.
//!
//! `cargo run --release -p chaos -- --seed 1 --schedules 20 --jobs 6`. Each schedule has its own
//! redis-servers (a primary and a replica) and several reader processes, each behind a proxy.
//! Publishers record each message that Redis acknowledged. Clients send requests without end. The
//! seed chooses the faults. Exits with 1 if a promise was broken. `docs/chaos.md` describes the
//! faults, the rules and the output.

mod append_only_file;
mod checker;
mod clients;
mod decisions;
mod elected;
mod failure;
mod fault;
mod fleet;
mod heartbeat;
mod held;
mod history;
mod inject;
mod jwks;
mod keys;
mod links;
mod mandates;
mod message;
mod owners;
mod policy;
mod proxy;
mod publishers;
mod quiet;
mod reader;
mod readers;
mod renames;
mod report;
mod run;
mod schedule;
mod server;
mod servers;
mod setup;
mod stepped_clock;
mod time;
mod totals;
mod truth;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use failure::Failure;
use fault::Kind;
use history::Minimum;
use report::Report;
use run::Extent;
use schedule::{Frame, Schedule, Trait};
use setup::Setup;
use totals::Totals;

/// Injects faults into a running fleet and checks that every promise held.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// The seed of the first schedule; each further schedule uses the next number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of schedules.
    #[arg(long, default_value_t = 1)]
    schedules: u64,
    /// The number of schedules that run at the same time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// How many times a schedule runs again if it broke nothing but limits of time.
    #[arg(long, default_value_t = 0)]
    again: usize,
    /// The servers of each schedule.
    #[arg(long, value_enum, default_value_t)]
    setup: Setup,
    /// Inject only these kinds of faults.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Run readers with these parts, instead of the seed's choice.
    #[arg(long, value_delimiter = ',')]
    with: Vec<Trait>,
    /// The length of a schedule in seconds; fewer than 30 show little.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// The number of steps in a schedule, each with one or two faults.
    #[arg(long, default_value_t = 8)]
    faults: usize,
    /// Print the schedules, and run none of them.
    #[arg(long)]
    list: bool,
    /// Print one line of JSON for each schedule.
    #[arg(long)]
    json: bool,
    /// Keep the readers' logs and the histories of failed schedules in this folder.
    #[arg(long, default_value = "target/chaos")]
    keep: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum Role {
    /// Checks kept histories again.
    Check { files: Vec<PathBuf> },
    /// Leaves a service alone while Redis is restarted from time to time. The service must log
    /// nothing twice, and fire no alert without a cause.
    Quiet(quiet::Arguments),
    /// The service of `quiet`, which the program starts as a process of its own.
    #[command(hide = true)]
    QuietService,
    /// A reader, which the program starts as a process of its own.
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
    let mut totals = Totals::default();
    let seeds = arguments.seed..arguments.seed.saturating_add(arguments.schedules);
    if arguments.list {
        seeds.for_each(|seed| println!("{}", schedule(&arguments, seed)));
        return Ok(ExitCode::SUCCESS);
    }
    let mut reports =
        stream::iter(seeds)
            .map(|seed| {
                // In a thread of its own, so that no schedule delays another.
                let (arguments, runtime) = (arguments.clone(), Handle::current());
                let run = move || runtime.block_on(one(&arguments, seed));
                async move {
                    (seed, spawn_blocking(run).await.map_err(Into::into).and_then(|done| done))
                }
            })
            .buffer_unordered(arguments.jobs.max(1));
    while let Some((seed, report)) = reports.next().await {
        match report {
            Ok(report) => {
                totals.add(&report);
                if arguments.json {
                    println!("{}", serde_json::to_string(&report)?);
                } else {
                    println!("{report}");
                }
            }
            Err(failure) => {
                eprintln!("seed {seed}: the harness itself failed: {failure}");
                totals.failed(seed);
            }
        }
    }
    drop(reports);
    if !arguments.json {
        println!("{totals}");
    }
    if totals.passed() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("logs and histories are in {}", arguments.keep.display());
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

fn schedule(arguments: &Arguments, seed: u64) -> Schedule {
    let kinds = if arguments.only.is_empty() { Kind::ALL.to_vec() } else { arguments.only.clone() };
    let (setup, faults) = (arguments.setup, arguments.faults);
    let frame = Frame { setup, faults, kinds, with: arguments.with.clone() };
    Schedule::generate(seed, &frame)
}

/// Runs one schedule, and again as often as the arguments allow.
async fn one(arguments: &Arguments, seed: u64) -> Result<Report, Failure> {
    let mut report = once(arguments, seed).await?;
    for _ in 0..arguments.again {
        if report.passed || !report.verdict.may_be_slowness() {
            break;
        }
        eprintln!("{report}\nseed {seed} broke nothing but limits of time, and runs again");
        report = once(arguments, seed).await?;
    }
    Ok(report)
}

async fn once(arguments: &Arguments, seed: u64) -> Result<Report, Failure> {
    let schedule = schedule(arguments, seed);
    let extent = Extent {
        length: Duration::from_secs(arguments.seconds),
        minimum: minimum(arguments.seconds),
    };
    let folder = arguments.keep.join(format!("{}-{seed}", arguments.setup.label()));
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

/// Returns the required content of a schedule: short ones are for trying things out and need less.
const fn minimum(seconds: u64) -> Minimum {
    if seconds >= 30 {
        Minimum { seconds: 30, faults: 5, revocations: 200, requests: 1_000 }
    } else {
        Minimum { seconds: 0, faults: 1, revocations: 1, requests: 1 }
    }
}
