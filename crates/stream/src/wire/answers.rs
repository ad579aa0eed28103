//! Parses the answers to a read. An unexpected answer is an error.

use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_event::{Stream, StreamId};
use smallvec::SmallVec;

use super::tokens::{Token, Tokens};
use crate::entry::{Counters, Entry, Head};
use crate::fields::{Fields, Place};
use crate::log_error::LogError;

/// The answers to the commands of one write, in their order.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    bytes: &'a Bytes,
    tokens: Tokens<'a>,
    /// The stream whose entries were read last.
    stream: Option<Stream>,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, tokens: Tokens::new(bytes, 0), stream: None }
    }

    /// Returns the stream of the last entries in an incomplete answer to `XREAD`.
    pub(crate) fn cut_in(bytes: &'a Bytes) -> Option<Stream> {
        let mut answers = Self::new(bytes);
        let _ = answers.entries();
        answers.stream
    }

    /// Parses the answer to `TIME`, since the Unix epoch.
    pub(crate) fn time(&mut self) -> Result<Duration, LogError> {
        match self.tokens.list()? {
            2 => {
                let (seconds, micros) = (self.tokens.number()?, self.tokens.number()?);
                Ok(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
            }
            _ => Err(LogError::Reply("TIME is not two numbers")),
        }
    }

    /// Parses the answer to `INFO`.
    pub(crate) fn text(&mut self) -> Result<String, LogError> {
        self.tokens.text().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Parses the answer to `XINFO STREAM`. `counts` is `true` if the server counts its entries.
    pub(crate) fn head(&mut self, counts: bool) -> Result<Head, LogError> {
        self.head_and_length(counts).map(|(head, _)| head)
    }

    /// Parses the answer to `XINFO STREAM` as [`Self::head`] does. Also returns the number of
    /// entries in the stream.
    pub(crate) fn head_and_length(&mut self, counts: bool) -> Result<(Head, u64), LogError> {
        let parts = match self.tokens.next()? {
            Token::List(parts) => parts,
            Token::Error(message) if message.ends_with(b"no such key") => {
                return Ok((Head::Missing, 0));
            }
            Token::Error(message) => {
                return Err(LogError::Redis(String::from_utf8_lossy(message).into()));
            }
            _ => return Err(LogError::Reply("XINFO STREAM is not a list")),
        };
        let (mut last_generated, mut added, mut first, mut max_deleted) = (None, None, None, None);
        let mut length = 0;
        for _ in 0..parts / 2 {
            match self.tokens.text()? {
                b"last-generated-id" => last_generated = Some(id(self.tokens.text()?)?),
                b"length" => length = self.tokens.number()?,
                b"entries-added" => added = Some(self.tokens.number()?),
                b"recorded-first-entry-id" => first = Some(id(self.tokens.text()?)?),
                b"max-deleted-entry-id" => max_deleted = Some(id(self.tokens.text()?)?),
                _ => self.tokens.skip()?,
            }
        }
        if parts % 2 == 1 {
            self.tokens.skip()?;
        }
        const MISSING_FIELD: LogError = LogError::Reply("XINFO STREAM lacks a field");
        let last_generated = last_generated.ok_or(MISSING_FIELD)?;
        if !counts {
            return Ok((Head::Uncounted(last_generated), length));
        }
        let counters = Counters {
            last_generated,
            entries_added: added.ok_or(MISSING_FIELD)?,
            first: first.ok_or(MISSING_FIELD)?,
            max_deleted: max_deleted.ok_or(MISSING_FIELD)?,
        };
        Ok((Head::Present(counters), length))
    }

    /// Parses the answer to `XREAD` or `XREADGROUP`.
    pub(crate) fn entries(&mut self) -> Result<Vec<Entry>, LogError> {
        let streams = match self.tokens.checked()? {
            Token::Nil => return Ok(Vec::new()),
            Token::List(streams) => streams,
            _ => return Err(LogError::Reply("XREAD is not a list")),
        };
        let mut entries = Vec::new();
        for _ in 0..streams {
            self.pair()?;
            let name = self.tokens.text()?;
            let stream = Stream::ALL.into_iter().find(|stream| stream.name().as_bytes() == name);
            let stream =
                stream.ok_or(LogError::Reply("XREAD names a stream that was not asked for"))?;
            self.stream = Some(stream);
            self.list(&mut entries, |id, fields| Entry { stream, id, fields })?;
        }
        Ok(entries)
    }

    /// Parses the answer to `XRANGE`.
    pub(crate) fn range(&mut self) -> Result<Vec<(StreamId, Fields)>, LogError> {
        let mut entries = Vec::new();
        self.list(&mut entries, |id, fields| (id, fields))?;
        Ok(entries)
    }

    /// Parses a list of entries, and adds them to `entries`.
    fn list<E>(
        &mut self,
        entries: &mut Vec<E>,
        entry: impl Fn(StreamId, Fields) -> E,
    ) -> Result<(), LogError> {
        let count = self.tokens.list()?;
        // Reserves space for no more entries than the bytes can contain, so that a forged count
        // takes no memory.
        let room = self.bytes.len() / 16;
        entries.reserve(usize::try_from(count).unwrap_or(room).min(room));
        for _ in 0..count {
            self.pair()?;
            let id = id(self.tokens.text()?)?;
            entries.push(entry(id, self.fields()?));
        }
        Ok(())
    }

    fn fields(&mut self) -> Result<Fields, LogError> {
        let parts = match self.tokens.checked()? {
            // An entry that was deleted while it was being read has no fields.
            Token::Nil => 0,
            Token::List(parts) => parts,
            Token::LeftOut(bytes) => return Ok(Fields::left_out(bytes)),
            _ => return Err(LogError::Reply("the fields of an entry are not a list")),
        };
        let mut places = SmallVec::new();
        for _ in 0..parts {
            let text = self.tokens.text()?;
            // The text is followed by the end of its line.
            let end = self.tokens.at() - 2;
            places.push(Place { start: narrow(end - text.len())?, end: narrow(end)? });
        }
        Ok(Fields::new(self.bytes.clone(), places))
    }

    fn pair(&mut self) -> Result<(), LogError> {
        match self.tokens.list()? {
            2 => Ok(()),
            _ => Err(LogError::Reply("a pair was expected")),
        }
    }
}

fn id(text: &[u8]) -> Result<StreamId, LogError> {
    let text = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    text.ok_or(LogError::Reply("a stream id was expected"))
}

fn narrow(place: usize) -> Result<u32, LogError> {
    u32::try_from(place).map_err(|_| LogError::Reply("an answer of more than 4 GB"))
}
