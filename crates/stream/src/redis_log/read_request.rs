//! One read: its commands, and the parsing of their answers.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use redis::Pipeline;

use super::counters::Form;
use crate::entry::PerStream;
use crate::identity::Identity;
use crate::log::{AsOf, Reading};
use crate::log_error::LogError;
use crate::wire::{Answers, Keep, Received, Stopped};

/// A read that was sent.
#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) cursors: PerStream<StreamId>,
    pub(super) count: usize,
    pub(super) wait: Option<Duration>,
    /// `true` if it asks for the server's time.
    pub(super) wants_time: bool,
    /// The streams whose counters it asks for. If there are any, it also asks for the server's time
    /// and identity.
    pub(super) heads: PerStream<Option<Form>>,
    /// The streams whose entries it asks for.
    pub(super) entries: PerStream<bool>,
    /// `true` if each command needs `ASKING` before it, because the slot is migrating.
    pub(super) is_asking: bool,
}

impl ReadRequest {
    /// Returns the commands of one write, in this order: the time, the server's identity, the
    /// counters of each stream, and the entries. A primary has every entry, so counters that follow
    /// its identity are complete, and they are older than the entries.
    pub(super) fn commands(&self) -> Pipeline {
        let mut commands = Pipeline::with_capacity(Stream::ALL.len() + 4);
        if self.wants_time {
            commands.cmd("TIME");
        }
        if self.wants_counters() {
            commands.cmd("INFO").arg("replication");
        }
        for (stream, form) in self.heads() {
            if self.is_asking {
                commands.cmd("ASKING");
            }
            let head = commands.cmd("XINFO").arg("STREAM").arg(stream.name());
            if form == Form::Full {
                head.arg("FULL").arg("COUNT").arg(1);
            }
        }
        if !self.wants_entries() {
            return commands;
        }
        if self.is_asking {
            commands.cmd("ASKING");
        }
        let read = commands.cmd("XREAD").arg("COUNT").arg(self.count);
        if let Some(wait) = self.wait {
            // Zero would mean to wait without end.
            read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        read.arg("STREAMS");
        for (stream, _) in self.entries() {
            read.arg(stream.name());
        }
        for (_, cursor) in self.entries() {
            read.arg(cursor.to_string());
        }
        commands
    }

    /// Returns the parts of the answers to keep.
    pub(super) fn keep(&self) -> Keep {
        if self.wants_entries() { Keep::Entries } else { Keep::Counters }
    }

    pub(super) fn wants_counters(&self) -> bool {
        self.heads.iter().any(Option::is_some)
    }

    pub(super) fn wants_entries(&self) -> bool {
        self.entries.contains(&true)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = (Stream, Form)> {
        Stream::ALL.into_iter().zip(self.heads).filter_map(|(stream, form)| Some((stream, form?)))
    }

    fn entries(&self) -> impl Iterator<Item = (Stream, StreamId)> {
        let all = Stream::ALL.into_iter().zip(self.cursors).zip(self.entries);
        all.filter_map(|(stream, is_meant)| is_meant.then_some(stream))
    }

    /// Returns the index of the answer with each stream's counters.
    pub(super) fn counter_answers(&self) -> impl Iterator<Item = (usize, Stream)> {
        let step = 1 + usize::from(self.is_asking);
        self.heads().enumerate().map(move |(nth, (stream, _))| (2 + nth * step + step - 1, stream))
    }

    /// Adds to an error which answer was cut, if part of that answer had arrived or only one answer
    /// was due.
    pub(super) fn cut(&self, error: LogError, stopped: &Stopped) -> LogError {
        let head = self.counter_answers().find(|(nth, _)| *nth == stopped.answers);
        let question = match (head, Answers::cut_in(&stopped.bytes), self.only()) {
            (Some((_, stream)), ..) => format!("XINFO STREAM {stream}"),
            (None, Some(stream), _) => {
                format!("XREAD COUNT {}, among the entries of {stream}", self.count)
            }
            (None, None, Some(only)) => only,
            _ => return error,
        };
        LogError::Cut { error: Box::new(error), question, bytes: stopped.size }
    }

    /// Returns the question of this read, if it has a single question about one stream.
    fn only(&self) -> Option<String> {
        let (mut heads, mut entries) = (self.heads(), self.entries());
        match (heads.next(), heads.next(), entries.next(), entries.next()) {
            (Some((stream, _)), None, None, _) => Some(format!("XINFO STREAM {stream}")),
            (None, _, Some((stream, _)), None) => {
                Some(format!("XREAD COUNT {} of {stream}", self.count))
            }
            _ => None,
        }
    }

    /// Parses the answers. The time up to which they are complete is set later.
    pub(super) fn parse_answers(
        &self,
        received: &Received,
        streams: &[Stream],
        server: &Server,
    ) -> Result<Reading, LogError> {
        let mut answers = Answers::new(&received.bytes);
        let server_time = if self.wants_time { Some(answers.time()?) } else { None };
        let mut identity = None;
        if self.wants_counters() {
            identity = Some(Identity::of(&server.run_id, &answers.text()?)?);
        }
        let mut heads = PerStream::default();
        for (stream, _) in self.heads() {
            if self.is_asking {
                answers.text()?;
            }
            if let Some(head) = heads.get_mut(stream.index()) {
                let answer = answers.head(server.counts);
                *head = Some(answer.map_err(|error| error.on(stream.name()))?);
            }
        }
        let mut entries = Vec::new();
        if self.wants_entries() {
            if self.is_asking {
                answers.text()?;
            }
            entries = answers.entries()?;
        }
        let mut read = [0; Stream::ALL.len()];
        for entry in &entries {
            if let Some(read) = read.get_mut(entry.stream.index()) {
                *read += 1;
            }
        }
        let mut drained = read.map(|read| read < self.count);
        drained.iter_mut().zip(self.entries).for_each(|(drained, read)| *drained &= read);
        Ok(Reading {
            server_time,
            as_of: AsOf::Unknown,
            freshness_error: None,
            identity,
            streams: Stream::ALL.map(|stream| streams.contains(&stream)),
            heads,
            entries,
            drained,
        })
    }
}

/// The facts that the server reported when the connection was opened. One connection leads to one
/// process.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) run_id: Box<str>,
    /// `true` if the server counts the entries of a stream, as versions from 7.0 on do.
    pub(super) counts: bool,
}
