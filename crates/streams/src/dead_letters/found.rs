//! One dead letter: listed in a line, or shown with its fields.

use std::io::Write;

use caracal_revocation_admin::{RawEntry, verify_letter};
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::{DeadLetter, NotADeadLetter, Settings};
use serde::Serialize;

use crate::outcome::Failure;
use crate::text::{plain, time_of};

/// A dead letter where it stands.
pub(super) struct Found {
    pub(super) stream: Stream,
    pub(super) id: StreamId,
    pub(super) letter: Result<DeadLetter, NotADeadLetter>,
}

#[derive(Serialize)]
struct Listed<'l> {
    stream: &'l str,
    id: String,
    original_id: Option<&'l str>,
    /// What stands before the first colon of the error.
    cause: &'l str,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<(String, String)>>,
    /// Whether it could be replayed with the keys given here; with `show` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

impl Found {
    pub(super) fn of(stream: Stream, entry: &RawEntry) -> Self {
        Self { stream, id: entry.id, letter: DeadLetter::parse(&entry.fields()) }
    }

    pub(super) fn cause(&self) -> &str {
        match &self.letter {
            Ok(letter) => cause(letter),
            Err(_) => "unreadable",
        }
    }

    fn error(&self) -> String {
        match &self.letter {
            Ok(letter) => letter.error().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn original_id(&self) -> Option<&str> {
        self.letter.as_ref().ok().map(DeadLetter::original_id)
    }

    pub(super) fn line(&self) -> String {
        let original = plain(self.original_id().unwrap_or("?"));
        let error = self.error();
        format!("{}.dead {} original {original}: {}", self.stream, self.id, plain(&error))
    }

    fn listed(&self) -> Listed<'_> {
        Listed {
            stream: self.stream.name(),
            id: self.id.to_string(),
            original_id: self.original_id(),
            cause: self.cause(),
            error: self.error(),
            fields: None,
            replay: None,
        }
    }

    pub(super) fn list(&self, json: bool, out: &mut impl Write) -> Result<(), Failure> {
        if json {
            serde_json::to_writer(&mut *out, &self.listed())?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", self.line())?;
        }
        Ok(())
    }

    pub(super) fn show(
        &self,
        settings: Option<&Settings>,
        json: bool,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let fields = self.letter.as_ref().ok().and_then(DeadLetter::fields);
        let replay = match (&self.letter, settings) {
            (Ok(letter), Some(settings)) => {
                match verify_letter(letter, settings.keys(), self.stream) {
                    Ok(()) => "possible".to_owned(),
                    Err(error) => error.to_string(),
                }
            }
            (Ok(_), None) => "STREAMS_HMAC_KEY is needed to tell".to_owned(),
            (Err(error), _) => error.to_string(),
        };
        if json {
            let shown = Listed { fields, replay: Some(replay), ..self.listed() };
            serde_json::to_writer(&mut *out, &shown)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "{}", self.line())?;
        writeln!(out, "  written   {}", time_of(self.id))?;
        match (&fields, &self.letter) {
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
}

/// The cause of a dead letter: what stands before the first colon of its error.
pub(crate) fn cause(letter: &DeadLetter) -> &str {
    let error = letter.error();
    error.split_once(':').map_or(error, |(cause, _)| cause).trim()
}
