//! `retention`: what could be trimmed without losing anything that is still needed.

use std::io::Write;
use std::time::Duration;

use caracal_revocation_admin::{GroupReport, Inspector, KeyReport, StreamLayout};
use caracal_revocation_event::StreamId;
use serde::{Serialize, Serializer};

use crate::answer::Answer;
use crate::cli::{RetentionArgs, RetentionCommand};
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::note;
use crate::settings::Sources;
use crate::text::{plain, time_of};

/// History that a follower replays at its start.
const HISTORY: Duration = Duration::from_secs(24 * 60 * 60);
/// Entries beyond so many are not counted.
const MAX_COUNTED: u64 = 100_000;

/// What could be trimmed from one stream.
#[derive(Clone, Debug, Serialize)]
struct Plan {
    stream: &'static str,
    length: u64,
    intended_length: Option<u64>,
    /// Entries before this id are not needed.
    #[serde(serialize_with = "as_text")]
    keep_from: StreamId,
    /// What is needed first: the history, or a group's entries.
    kept_for: String,
    /// How many entries stand before it.
    removable: u64,
    /// Whether there are more than were counted.
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
) -> Result<Answer, Failure> {
    let mut inspector = Inspector::connect(&sources.server()?).await?;
    let plans = plans(&mut inspector, args).await?;
    match &args.what {
        RetentionCommand::Plan => {
            if plans.is_empty() {
                note("none of these streams is there: see caracal-streams provision");
            }
            write(&plans, args.json, out)?;
            Ok(Answer::Fine)
        }
        RetentionCommand::Apply { yes } => apply(&mut inspector, &plans, args, *yes, out).await,
    }
}

async fn plans(inspector: &mut Inspector, args: &RetentionArgs) -> Result<Vec<Plan>, Failure> {
    let mut plans = Vec::new();
    for stream in StreamLayout::ALL.iter().filter(|stream| args.concerns(stream.name)) {
        let KeyReport::Stream(report) = inspector.stream(stream.name).await? else { continue };
        let (keep_from, kept_for) = if stream.is_trimmable() {
            bound(inspector, stream.name).await?
        } else if stream.groups.is_empty() {
            (StreamId::ZERO, "its entries keep it there".to_owned())
        } else {
            (StreamId::ZERO, "Caracal's Audit service replays them".to_owned())
        };
        let removable = inspector.count_before(stream.name, keep_from, MAX_COUNTED).await?;
        plans.push(Plan {
            stream: stream.name,
            length: report.length,
            intended_length: stream.intended_length,
            keep_from,
            kept_for,
            removable,
            at_least: removable >= MAX_COUNTED,
        });
    }
    Ok(plans)
}

/// The first id that is still needed, and for what.
async fn bound(inspector: &mut Inspector, name: &str) -> Result<(StreamId, String), Failure> {
    let now = inspector.time().await?;
    let groups = match inspector.stream(name).await? {
        KeyReport::Stream(report) => inspector.groups(name, &report).await?,
        KeyReport::Missing | KeyReport::NoStream => Vec::new(),
    };
    Ok(needed_from(now, &groups))
}

fn needed_from(now: Duration, groups: &[GroupReport]) -> (StreamId, String) {
    let history = now.saturating_sub(HISTORY).as_millis();
    let history = StreamId::new(u64::try_from(history).unwrap_or(0), 0);
    let mut first = (history, "24 h of history".to_owned());
    for group in groups {
        let name = plain(&group.name);
        // What was delivered and not finished, and what was not delivered.
        let pending = group.oldest_pending.as_ref().map(|it| (it.id, format!("{name}: pending")));
        let unread = (group.last_delivered, format!("{name}: unread"));
        first = pending
            .into_iter()
            .chain([unread])
            .fold(first, |first, needed| if needed.0 < first.0 { needed } else { first });
    }
    first
}

async fn apply(
    inspector: &mut Inspector,
    plans: &[Plan],
    args: &RetentionArgs,
    yes: bool,
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let plans: Vec<&Plan> = plans.iter().filter(|plan| plan.removable > 0).collect();
    if plans.is_empty() {
        note("nothing can be trimmed");
        return Ok(Answer::Fine);
    }
    let lines: Vec<String> = plans.iter().map(|plan| plan.line()).collect();
    if !confirm(&format!("{}\nTrim?", lines.join("\n")), yes)? {
        note("nothing was trimmed");
        return Ok(Answer::Not);
    }
    for plan in plans {
        // Since the question a group may have been set back, or made anew.
        let (keep_from, _) = bound(inspector, plan.stream).await?;
        let keep_from = keep_from.min(plan.keep_from);
        let removed = inspector.trim_before(plan.stream, keep_from).await?;
        if args.json {
            serde_json::to_writer(&mut *out, &Trimmed { stream: plan.stream, removed })?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}: {removed} entries removed", plan.stream)?;
        }
    }
    Ok(Answer::Fine)
}

fn write(plans: &[Plan], json: bool, out: &mut impl Write) -> Result<(), Failure> {
    for plan in plans {
        if json {
            serde_json::to_writer(&mut *out, plan)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", plan.line())?;
        }
    }
    Ok(())
}

impl Plan {
    fn line(&self) -> String {
        if self.removable == 0 {
            let (stream, length, kept_for) = (self.stream, self.length, &self.kept_for);
            return format!("{stream}: {length} entries, all needed ({kept_for})");
        }
        let more = if self.at_least { "at least " } else { "" };
        format!(
            "{}: {} entries, {more}{} could be removed, up to {} ({}); kept from there: {}",
            self.stream,
            self.length,
            self.removable,
            self.keep_from,
            time_of(self.keep_from),
            self.kept_for
        )
    }
}

fn as_text<S: Serializer>(id: &StreamId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
