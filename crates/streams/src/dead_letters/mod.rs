//! `dead-letters`: lists, shows, replays and drops dead letters, in both shapes of the contract.

mod show;

use std::io::Write;

use caracal_revocation_admin::{Inspector, ReplayError, StoredLetter};
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::Settings;
use serde::Serialize;

use crate::cli::{DeadLettersArgs, DeadLettersCommand, Picked};
use crate::outcome::{Failure, Outcome};
use crate::output::{confirm, note};
use crate::settings::Sources;
use crate::text::plain;

/// The result of one replay, as JSON.
#[derive(Serialize)]
struct Replayed<'r> {
    stream: &'r str,
    dead: String,
    /// The new id of the message in its stream, if it was replayed.
    id: Option<String>,
    /// The reason that it was not replayed.
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
            let picked = Picked::of_cause(cause.clone());
            let mut all = 0;
            for stream in streams {
                let list = |letter: StoredLetter| {
                    all += 1;
                    if all <= *count { show::list(&letter, args.json, out) } else { Ok(()) }
                };
                each(&mut inspector, stream, &picked, list).await?;
            }
            match all.checked_sub(*count) {
                // An empty list of JSON lines has no line.
                _ if all == 0 && !args.json => writeln!(out, "no dead letters")?,
                Some(more @ 1..) => note(format_args!("{more} more exist: raise --count")),
                _ => {}
            }
            Ok(Outcome::Ok)
        }
        DeadLettersCommand::Show { stream, id } => {
            let mut inspector = Inspector::connect(&sources.server()?).await?;
            let Some(letter) = inspector.dead_letter(*stream, *id).await? else {
                return Ok(nothing());
            };
            show::show(&letter, sources.keys().ok().as_ref(), args.json, out)?;
            Ok(Outcome::Ok)
        }
        DeadLettersCommand::Replay { stream, picked, keep, yes } => {
            let settings = sources.settings()?;
            if !settings.keys().verifies() {
                return Err(Failure::new("STREAMS_HMAC_KEY: not set: messages cannot be verified"));
            }
            let mut inspector = Inspector::connect(&settings).await?;
            let ids = ids(&mut inspector, *stream, picked, |_| {}).await?;
            if ids.is_empty() {
                return Ok(nothing());
            }
            if !confirm(&format!("Replay {} dead letters to {stream}?", ids.len()), *yes)? {
                note("nothing was replayed");
                return Ok(Outcome::Negative);
            }
            let mut outcome = Outcome::Ok;
            for id in ids {
                // Another process may have removed it since.
                let Some(letter) = inspector.dead_letter(*stream, id).await? else { continue };
                let done = replay(&mut inspector, &letter, &settings, *keep).await?;
                if done.is_err() {
                    outcome = Outcome::Negative;
                }
                write_result(&letter, done, args.json, out)?;
            }
            Ok(outcome)
        }
        DeadLettersCommand::Drop { stream, picked, yes } => {
            let mut inspector = Inspector::connect(&sources.server()?).await?;
            let line = |letter: &StoredLetter| note(show::line(letter));
            let ids = ids(&mut inspector, *stream, picked, line).await?;
            if ids.is_empty() {
                return Ok(nothing());
            }
            if !confirm(&format!("Drop {} dead letters permanently?", ids.len()), *yes)? {
                note("nothing was dropped");
                return Ok(Outcome::Negative);
            }
            let dropped = inspector.drop_dead_letters(*stream, &ids).await?;
            writeln!(out, "{dropped} dropped")?;
            Ok(Outcome::Ok)
        }
    }
}

fn nothing() -> Outcome {
    note("no such dead letter");
    Outcome::Negative
}

/// Calls `take` with each selected dead letter of a stream, oldest first.
async fn each(
    inspector: &mut Inspector,
    stream: Stream,
    picked: &Picked,
    mut take: impl FnMut(StoredLetter) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor = StreamId::ZERO;
    loop {
        let letters = inspector.dead_letters(stream, cursor).await?;
        let Some(last) = letters.last() else { return Ok(()) };
        cursor = last.id;
        let selected = letters.into_iter().filter(|it| picked.takes(it.id, it.cause()));
        selected.into_iter().try_for_each(&mut take)?;
    }
}

/// Returns the ids of the selected dead letters, and calls `see` with each letter. Keeps only the
/// ids in memory, because there may be any number of letters.
async fn ids(
    inspector: &mut Inspector,
    stream: Stream,
    picked: &Picked,
    mut see: impl FnMut(&StoredLetter),
) -> Result<Vec<StreamId>, Failure> {
    let mut ids = Vec::new();
    let take = |letter: StoredLetter| {
        see(&letter);
        ids.push(letter.id);
        Ok(())
    };
    each(inspector, stream, picked, take).await?;
    Ok(ids)
}

/// Replays the message, and then removes the letter. In this order, the message always exists in at
/// least one place.
async fn replay(
    inspector: &mut Inspector,
    stored: &StoredLetter,
    settings: &Settings,
    keep: bool,
) -> Result<Result<StreamId, String>, Failure> {
    let letter = match &stored.letter {
        Ok(letter) => letter,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let id = match inspector.replay(letter, settings.keys(), stored.stream).await {
        Ok(id) => id,
        Err(ReplayError::Inspect(error)) => return Err(error.into()),
        Err(error) => return Ok(Err(error.to_string())),
    };
    if !keep {
        inspector.drop_dead_letters(stored.stream, &[stored.id]).await?;
    }
    Ok(Ok(id))
}

/// Writes the result of one replay.
fn write_result(
    letter: &StoredLetter,
    done: Result<StreamId, String>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (stream, dead) = (letter.stream.name(), letter.id);
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
