//! `dead-letters`: what could not be used, in both shapes of the contract.

mod found;

use std::io::Write;

use caracal_revocation_admin::{Inspector, KeyReport, ReplayError};
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::Settings;
use serde::Serialize;

use self::found::Found;
pub(crate) use self::found::cause;

use crate::cli::{DeadLettersArgs, DeadLettersCommand, Picked};
use crate::outcome::{Failure, Outcome};
use crate::output::{confirm, note};
use crate::settings::Sources;
use crate::text::plain;

const PAGE: u64 = 500;

#[derive(Serialize)]
struct Replayed<'r> {
    stream: &'r str,
    dead: String,
    /// The id of the message in its stream, if it was written again.
    id: Option<String>,
    refused: Option<String>,
}

pub(crate) async fn dead_letters(
    sources: &Sources,
    args: &DeadLettersArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    match &args.what {
        DeadLettersCommand::List { stream, cause, count } => {
            let mut inspector = Inspector::connect(&sources.server()?).await?;
            let streams = stream.map_or(Stream::ALL.to_vec(), |stream| vec![stream]);
            let mut all = Vec::new();
            for stream in streams {
                let picked = Picked::of_cause(cause.clone());
                all.extend(find(&mut inspector, stream, &picked).await?);
            }
            for found in all.iter().take(*count) {
                found.list(args.json, out)?;
            }
            match all.len().checked_sub(*count) {
                // An empty list of JSON lines has no line.
                _ if all.is_empty() && !args.json => writeln!(out, "no dead letters")?,
                Some(more @ 1..) => note(format_args!("{more} more are there: say --count")),
                _ => {}
            }
            Ok(Outcome::Ok)
        }
        DeadLettersCommand::Show { stream, id } => {
            let mut inspector = Inspector::connect(&sources.server()?).await?;
            let picked = Picked::of_ids(vec![*id]);
            let all = find(&mut inspector, *stream, &picked).await?;
            for found in &all {
                found.show(sources.keys().ok().as_ref(), args.json, out)?;
            }
            Ok(if all.is_empty() { nothing() } else { Outcome::Ok })
        }
        DeadLettersCommand::Replay { stream, picked, keep, yes } => {
            let settings = sources.settings()?;
            if !settings.keys().verifies() {
                return Err(Failure::new("STREAMS_HMAC_KEY: not set: nothing can be verified"));
            }
            let mut inspector = Inspector::connect(&settings).await?;
            let all = find(&mut inspector, *stream, picked).await?;
            if all.is_empty() {
                return Ok(nothing());
            }
            let question = format!("Replay {} dead letters to {stream}?", all.len());
            if !confirm(&question, *yes)? {
                note("nothing was replayed");
                return Ok(Outcome::Negative);
            }
            let mut answer = Outcome::Ok;
            for found in &all {
                let done = replay(&mut inspector, found, &settings, *keep).await?;
                if done.is_err() {
                    answer = Outcome::Negative;
                }
                tell(found, done, args.json, out)?;
            }
            Ok(answer)
        }
        DeadLettersCommand::Drop { stream, picked, yes } => {
            let mut inspector = Inspector::connect(&sources.server()?).await?;
            let all = find(&mut inspector, *stream, picked).await?;
            if all.is_empty() {
                return Ok(nothing());
            }
            for found in &all {
                note(found.line());
            }
            if !confirm(&format!("Drop {} dead letters for good?", all.len()), *yes)? {
                note("nothing was dropped");
                return Ok(Outcome::Negative);
            }
            let ids: Vec<StreamId> = all.iter().map(|found| found.id).collect();
            let dropped = inspector.delete(&format!("{stream}.dead"), &ids).await?;
            writeln!(out, "{dropped} dropped")?;
            Ok(Outcome::Ok)
        }
    }
}

fn nothing() -> Outcome {
    note("there is no such dead letter");
    Outcome::Negative
}

/// The dead letters of a stream that were asked for, the oldest first.
async fn find(
    inspector: &mut Inspector,
    stream: Stream,
    picked: &Picked,
) -> Result<Vec<Found>, Failure> {
    let key = format!("{stream}.dead");
    if inspector.stream(&key).await? == KeyReport::Missing {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    let mut cursor = StreamId::ZERO;
    loop {
        let entries = inspector.entries(&key, cursor, PAGE).await?;
        let Some(last) = entries.last() else { return Ok(all) };
        cursor = last.id;
        let found = entries.iter().map(|entry| Found::of(stream, entry));
        all.extend(found.filter(|found| picked.takes(found.id, found.cause())));
    }
}

/// Writes the message again, and then removes the letter: in this order, so that it is in one
/// place at least.
async fn replay(
    inspector: &mut Inspector,
    found: &Found,
    settings: &Settings,
    keep: bool,
) -> Result<Result<StreamId, String>, Failure> {
    let letter = match &found.letter {
        Ok(letter) => letter,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let id = match inspector.replay(letter, settings.keys(), found.stream).await {
        Ok(id) => id,
        Err(ReplayError::Inspect(error)) => return Err(error.into()),
        Err(refused) => return Ok(Err(refused.to_string())),
    };
    if !keep {
        inspector.delete(&format!("{}.dead", found.stream), &[found.id]).await?;
    }
    Ok(Ok(id))
}

fn tell(
    found: &Found,
    done: Result<StreamId, String>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (stream, dead) = (found.stream.name(), found.id);
    if json {
        let (id, refused) = match done {
            Ok(id) => (Some(id.to_string()), None),
            Err(why) => (None, Some(why)),
        };
        serde_json::to_writer(
            &mut *out,
            &Replayed { stream, dead: dead.to_string(), id, refused },
        )?;
        writeln!(out)?;
        return Ok(());
    }
    match done {
        Ok(id) => writeln!(out, "{dead}: replayed to {stream} as {id}")?,
        Err(why) => writeln!(out, "{dead}: not replayed: {}", plain(&why))?,
    }
    Ok(())
}
