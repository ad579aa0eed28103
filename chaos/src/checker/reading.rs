//! A history, indexed as the rules ask it.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Answer, History, Lost, ReaderLife, Request, Revocation};
use crate::time::At;

use super::lateness::Lateness;
use super::windows::Windows;

/// An id so much older than its message is wrong.
const MISDATED_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Reading<'h> {
    pub(super) history: &'h History,
    pub(super) lateness: Lateness<'h>,
    /// By reader.
    windows: Vec<Windows>,
    /// By token.
    revocations: HashMap<usize, &'h Revocation>,
    /// By life: when an answer first showed that the history had been read.
    ready: Vec<Option<At>>,
}

impl<'h> Reading<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let lateness = Lateness::of(&history.lateness);
        let recovery = history.promise.recovery;
        let readers = history.readers.iter().map(|life| life.reader + 1).max().unwrap_or(0);
        let windows = (0..readers)
            .map(|reader| {
                Windows::of(&history.faults, reader, |from| {
                    recovery + lateness.allowance(from, from.plus(recovery))
                })
            })
            .collect();
        let mut ready: Vec<Option<At>> = vec![None; history.readers.len()];
        for request in &history.requests {
            // A token may be known to be revoked before the rest of the history is read.
            if matches!(
                request.answer,
                Answer::Admitted | Answer::HistoryIncomplete | Answer::Stale
            ) {
                let first = &mut ready[request.life];
                *first = Some(first.map_or(request.received, |first| first.min(request.received)));
            }
        }
        let revocations = history.revocations.iter().map(|told| (told.token, told)).collect();
        Self { history, lateness, windows, revocations, ready }
    }

    pub(super) fn life(&self, request: &Request) -> &'h ReaderLife {
        &self.history.readers[request.life]
    }

    pub(super) fn windows(&self, request: &Request) -> &Windows {
        &self.windows[self.life(request).reader]
    }

    pub(super) fn revocation(&self, request: &Request) -> Option<&'h Revocation> {
        self.revocations.get(&request.token).copied()
    }

    pub(super) fn ready(&self, request: &Request) -> Option<At> {
        self.ready[request.life]
    }

    /// How long recovering may take from here.
    pub(super) fn recovery(&self, from: At) -> Duration {
        let nominal = self.history.promise.recovery;
        nominal + self.lateness.allowance(from, from.plus(nominal))
    }

    /// Whether the promise excepts this: the server itself lost the message.
    ///
    /// What an operator removed is not excepted: the counters tell a reader. Only a wipe takes
    /// the counters along, and a server whose clock is behind dates them wrongly; then a reader
    /// that begins later cannot know.
    pub(super) fn is_excused(&self, revocation: &Revocation, request: &Request) -> bool {
        let Some(loss) = revocation.loss else { return false };
        let life = self.life(request);
        // One that reads on where another stood has begun there; a stream that was empty then is
        // any other to it.
        let had_begun = |at: &At| self.had_any(revocation.stream(), *at);
        let began = life.recalled.filter(had_begun).or(self.ready(request));
        let began_after = |at| began.is_none_or(|began| began > at);
        if self.history.promise.strict {
            return false;
        }
        if let Some(reload) = self.history.promise.reload {
            // After a loss, and at the start, a second source tells what it said.
            let told = self.back(request, self.over(loss.at).max(life.started));
            if request.sent > told.plus(self.recovery(told) + reload) {
                return false;
            }
        }
        match loss.how {
            Lost::ByServer => true,
            Lost::Wiped | Lost::Removed => {
                loss.untraced.is_some_and(began_after)
                    || (self.is_misdated(revocation) && began_after(loss.at))
            }
        }
    }

    /// Whether anything had been published on the stream by then.
    fn had_any(&self, stream: &str, by: At) -> bool {
        let told = self.history.revocations.iter().filter(|told| told.stream() == stream);
        told.filter_map(|told| told.acked).any(|acked| acked < by)
    }

    /// When the fault that began then was over.
    fn over(&self, began: At) -> At {
        let fault = self.history.faults.iter().find(|fault| fault.began == began);
        fault.map_or(began, |fault| fault.ended)
    }

    /// When this reader last began, up to this request, with a snapshot from before then: what
    /// happened then it noticed once more.
    pub(super) fn read_on(&self, request: &Request, before: At) -> At {
        let lives = &self.history.readers[..=request.life];
        let lives = lives.iter().filter(|life| life.reader == self.life(request).reader);
        let again = lives.filter(|life| life.recalled.is_some_and(|recalled| recalled < before));
        again.map(|life| life.started).max().unwrap_or_default()
    }

    /// When Redis was there for a reader that has to read from it from then on.
    pub(super) fn back(&self, request: &Request, from: At) -> At {
        self.windows(request).iter().fold(from, |back, window| {
            if window.began <= back.plus(self.recovery(back)) {
                back.max(window.ended)
            } else {
                back
            }
        })
    }

    /// Whether its id says that it was published seconds before that was even attempted.
    fn is_misdated(&self, revocation: &Revocation) -> bool {
        let ms = revocation.id.as_deref().and_then(|id| id.split('-').next()?.parse::<u64>().ok());
        let attempted = (self.history.unix_start + revocation.attempted.0) / 1_000;
        ms.is_some_and(|ms| ms + MISDATED_MS < attempted)
    }

    /// From when on the reader had nothing to hinder it: `None` while it is cut off.
    pub(super) fn unhindered_since(&self, request: &Request) -> Option<At> {
        let started = self.life(request).started;
        match self.windows(request).last_before(request.received) {
            Some(window) if window.ended >= request.sent => None,
            Some(window) => Some(started.max(window.ended)),
            None => Some(started),
        }
    }
}
