//! Writes one dead letter: as a line, or with its fields.

use std::io::Write;

use caracal_revocation_admin::{StoredLetter, verify_letter};
use caracal_revocation_stream::{DeadLetter, Settings};
use serde::Serialize;

use crate::outcome::Failure;
use crate::text::{plain, time_of};

/// A dead letter, as JSON.
#[derive(Serialize)]
struct Listed<'l> {
    stream: &'l str,
    id: String,
    original_id: Option<&'l str>,
    /// The part of the error before its first colon.
    cause: &'l str,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<(String, String)>>,
    /// `possible`, or the reason that a replay with the given keys is impossible; with `show` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

/// Returns one line for people.
pub(super) fn line(letter: &StoredLetter) -> String {
    let original = plain(original_id(letter).unwrap_or("?"));
    format!("{}.dead {} original {original}: {}", letter.stream, letter.id, plain(&error(letter)))
}

/// Writes one line, or one JSON object.
pub(super) fn list(letter: &StoredLetter, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if json {
        serde_json::to_writer(&mut *out, &listed(letter))?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", line(letter))?;
    }
    Ok(())
}

/// Writes the letter with its fields, and the result of verifying it for a replay.
pub(super) fn show(
    stored: &StoredLetter,
    settings: Option<&Settings>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let fields = stored.letter.as_ref().ok().and_then(DeadLetter::fields);
    let replay = match (&stored.letter, settings) {
        (Ok(letter), Some(settings)) => {
            match verify_letter(letter, settings.keys(), stored.stream) {
                Ok(()) => "possible".to_owned(),
                Err(error) => error.to_string(),
            }
        }
        (Ok(_), None) => "unknown: set STREAMS_HMAC_KEY to verify it".to_owned(),
        (Err(error), _) => error.to_string(),
    };
    if json {
        let shown = Listed { fields, replay: Some(replay), ..listed(stored) };
        serde_json::to_writer(&mut *out, &shown)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{}", line(stored))?;
    writeln!(out, "  written   {}", time_of(stored.id))?;
    match (&fields, &stored.letter) {
        (Some(fields), _) => {
            for (name, value) in fields {
                writeln!(out, "  field     {} = {}", plain(name), plain(value))?;
            }
        }
        (None, Ok(letter)) => writeln!(out, "  values    {}", plain(letter.values()))?,
        (None, Err(_)) => {}
    }
    writeln!(out, "  replay    {}", plain(&replay))?;
    Ok(())
}

fn listed(letter: &StoredLetter) -> Listed<'_> {
    Listed {
        stream: letter.stream.name(),
        id: letter.id.to_string(),
        original_id: original_id(letter),
        cause: letter.cause(),
        error: error(letter),
        fields: None,
        replay: None,
    }
}

fn error(stored: &StoredLetter) -> String {
    match &stored.letter {
        Ok(letter) => letter.error().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn original_id(stored: &StoredLetter) -> Option<&str> {
    stored.letter.as_ref().ok().map(DeadLetter::original_id)
}
