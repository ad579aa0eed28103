//! `retention`: reports and trims the entries that are no longer needed.

use std::io::Write;

use caracal_revocation_admin::{Inspector, RetentionPlan, StreamLayout};
use caracal_revocation_event::StreamId;
use serde::{Serialize, Serializer};

use crate::cli::{RetentionArgs, RetentionCommand};
use crate::outcome::{Failure, Outcome};
use crate::output::{confirm, note};
use crate::settings::Sources;
use crate::text::{plain, time_of};

/// The plan for one stream, as JSON for programs.
#[derive(Serialize)]
struct Listed {
    stream: &'static str,
    length: u64,
    intended_length: Option<u64>,
    #[serde(serialize_with = "as_text")]
    keep_from: StreamId,
    kept_for: String,
    removable: u64,
    at_least: bool,
}

#[derive(Serialize)]
struct Trimmed {
    stream: &'static str,
    removed: u64,
}

pub(crate) async fn retention(
    sources: &Sources,
    args: &RetentionArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let mut inspector = Inspector::connect(&sources.server()?).await?;
    let plans = plans(&mut inspector, args).await?;
    match &args.what {
        RetentionCommand::Plan => {
            if plans.is_empty() {
                note("none of these streams exists: run caracal-streams provision");
            }
            write(&plans, args.json, out)?;
            Ok(Outcome::Ok)
        }
        RetentionCommand::Apply { yes } => apply(&mut inspector, &plans, args, *yes, out).await,
    }
}

async fn plans(
    inspector: &mut Inspector,
    args: &RetentionArgs,
) -> Result<Vec<RetentionPlan>, Failure> {
    let mut plans = Vec::new();
    const ALL: &[StreamLayout] = &StreamLayout::ALL;
    for stream in ALL.iter().filter(|stream| args.concerns(stream.name)) {
        plans.extend(inspector.retention(stream).await?);
    }
    Ok(plans)
}

async fn apply(
    inspector: &mut Inspector,
    plans: &[RetentionPlan],
    args: &RetentionArgs,
    yes: bool,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let plans: Vec<&RetentionPlan> = plans.iter().filter(|plan| plan.removable > 0).collect();
    if plans.is_empty() {
        note("nothing can be trimmed");
        return Ok(Outcome::Ok);
    }
    let lines: Vec<String> = plans.iter().map(|plan| line(plan)).collect();
    if !confirm(&format!("{}\nTrim?", lines.join("\n")), yes)? {
        note("nothing was trimmed");
        return Ok(Outcome::Negative);
    }
    for plan in plans {
        let (stream, removed) = (plan.stream.name, inspector.trim(plan).await?);
        if args.json {
            serde_json::to_writer(&mut *out, &Trimmed { stream, removed })?;
            writeln!(out)?;
        } else {
            writeln!(out, "{stream}: {removed} entries removed")?;
        }
    }
    Ok(Outcome::Ok)
}

fn write(plans: &[RetentionPlan], json: bool, out: &mut impl Write) -> Result<(), Failure> {
    for plan in plans {
        if json {
            serde_json::to_writer(&mut *out, &listed(plan))?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", line(plan))?;
        }
    }
    Ok(())
}

fn listed(plan: &RetentionPlan) -> Listed {
    Listed {
        stream: plan.stream.name,
        length: plan.length,
        intended_length: plan.stream.intended_length,
        keep_from: plan.keep_from,
        kept_for: plain(&plan.kept_for).to_string(),
        removable: plan.removable,
        at_least: plan.at_least,
    }
}

fn line(plan: &RetentionPlan) -> String {
    let (stream, length, kept_for) = (plan.stream.name, plan.length, plain(&plan.kept_for));
    if plan.removable == 0 {
        return format!("{stream}: {length} entries, all needed ({kept_for})");
    }
    let more = if plan.at_least { "at least " } else { "" };
    format!(
        "{stream}: {length} entries, {more}{} can be removed, up to {} ({}); the rest is needed: \
         {kept_for}",
        plan.removable,
        plan.keep_from,
        time_of(plan.keep_from),
    )
}

fn as_text<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
