//! A history, indexed for the questions of the rules.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{
    Answer, GapScope, Group, History, Lost, Probe, ReaderLife, Request, Resumed, Revocation, Route,
};
use crate::time::At;

use super::losses::Losses;
use super::windows::Windows;

/// The longest time from the acknowledgement of a revocation to the last admission by a reader that
/// nothing hinders.
pub(super) const CALM_DELAY: Duration = Duration::from_millis(500);
/// The time before and after a probe in which requests must agree with it.
const AROUND: Duration = Duration::from_millis(500);
/// The age beyond its message, in milliseconds, from which an id counts as misdated.
const MISDATED_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct HistoryIndex<'h> {
    pub(super) history: &'h History,
    /// The windows of each reader, by its number.
    windows: Vec<Windows>,
    /// The revocation of each token, by its number.
    revocations: HashMap<usize, &'h Revocation>,
    /// The time at which an answer of each process first showed that it had read the history.
    ready: Vec<Option<At>>,
    losses: Losses,
}

impl<'h> HistoryIndex<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let recovery = history.promise.recovery;
        let readers = history.readers.iter().map(|life| life.reader + 1).max().unwrap_or(0);
        let windows: Vec<_> =
            (0..readers).map(|reader| Windows::of(&history.faults, reader, recovery)).collect();
        let mut ready: Vec<Option<At>> = vec![None; history.readers.len()];
        for request in &history.requests {
            // A process may deny a revoked token before it has read the rest of the history.
            if matches!(
                request.answer,
                Answer::Admitted | Answer::HistoryIncomplete | Answer::Stale
            ) {
                let first = &mut ready[request.life];
                *first = Some(first.map_or(request.received, |first| first.min(request.received)));
            }
        }
        let revocations =
            history.revocations.iter().map(|revocation| (revocation.token, revocation)).collect();
        let losses = Losses::of(history, &windows);
        Self { history, windows, revocations, ready, losses }
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

    /// Returns the time that a recovery may take.
    pub(super) const fn recovery(&self) -> Duration {
        self.history.promise.recovery
    }

    /// Returns `true` if nothing proved the view of the process when the request was sent.
    pub(super) fn is_unprovable(&self, request: &Request) -> bool {
        request.sent < self.life(request).unproven_until
    }

    /// Returns `true` if the process may not know yet that the token's session was resumed.
    pub(super) fn may_be_suspended(&self, request: &Request, resumed: Resumed) -> bool {
        let life = self.life(request);
        let is_calm = self
            .unhindered_since(request)
            .is_some_and(|since| request.sent > since.max(resumed.acked).plus(self.recovery()));
        // The message about it may be lost.
        let mut lossy = self.history.faults.iter().filter(|fault| fault.gap != GapScope::Nobody);
        !is_calm
            || self.is_unprovable(request)
            || !life.keys.contains(&resumed.key)
            || lossy.any(|fault| {
                fault.ended.plus(self.recovery()) >= resumed.acked
                    && fault.began <= request.received
            })
    }

    /// Returns `true` if the process accepts the key that signed the revocation.
    pub(super) fn can_verify(&self, request: &Request, revocation: &Revocation) -> bool {
        self.life(request).keys.contains(&revocation.key)
    }

    /// Returns `true` if the process may still answer from the snapshot of a previous process that
    /// did not accept the key. That is allowed until the streams are read again.
    fn is_unread(&self, request: &Request, revocation: &Revocation) -> bool {
        let life = self.life(request);
        let mut before = self.history.readers[..request.life].iter().rev();
        let before = before.find(|before| before.reader == life.reader);
        let back = self.back(request, life.started);
        life.recalled.is_some()
            && before.is_some_and(|before| !before.keys.contains(&revocation.key))
            && request.sent <= back.plus(self.recovery())
    }

    /// Returns `true` if a message that none of the process's keys has signed was attempted by
    /// then.
    pub(super) fn fails_verification(&self, request: &Request, by: At) -> bool {
        let keys = &self.life(request).keys;
        let mut revocations = self.history.revocations.iter();
        revocations.any(|revocation| !keys.contains(&revocation.key) && revocation.attempted <= by)
    }

    /// Returns `true` if the streams held messages when the process began, and it can verify none.
    pub(super) fn is_nothing_verifiable(&self, request: &Request) -> bool {
        let life = self.life(request);
        let revocations =
            self.history.revocations.iter().filter(|revocation| revocation.loss.is_none());
        let mut revocations = revocations
            .filter(|revocation| revocation.acked.is_some_and(|acked| acked < life.started));
        self.fails_verification(request, request.received)
            && !revocations.any(|revocation| life.keys.contains(&revocation.key))
    }

    /// Returns `true` if requests just before and after the probe were answered 503. While Redis
    /// comes and goes, a view may be fresh for a moment between them. Such requests do not count.
    pub(super) fn is_unknown_around(&self, probe: &Probe) -> bool {
        let is_calm = |request: &Request| {
            let since = self.unhindered_since(request);
            since.is_some_and(|since| request.sent > since.plus(self.recovery()))
        };
        let is_unknown = |request: &Request| match request.answer {
            Answer::NotReady => true,
            Answer::Stale => is_calm(request),
            _ => false,
        };
        // Only the nearest requests count: a view may be fresh for less than this period.
        let of_life = self.history.requests.iter().filter(|request| {
            let informative =
                [Answer::Admitted, Answer::HistoryIncomplete, Answer::NotReady, Answer::Stale];
            request.life == probe.life && informative.contains(&request.answer)
        });
        let is_before = |request: &&Request| {
            request.received <= probe.sent && probe.sent.since(request.received) <= AROUND
        };
        let is_after = |request: &&Request| {
            probe.received <= request.sent && request.sent.since(probe.received) <= AROUND
        };
        let before = of_life.clone().filter(is_before).max_by_key(|request| request.received);
        let after = of_life.filter(is_after).min_by_key(|request| request.sent);
        before.is_some_and(is_unknown) && after.is_some_and(is_unknown)
    }

    /// Returns `true` if the promise excuses the admission: the process cannot detect the loss of the
    /// message, or accepts no key that signed it.
    ///
    /// A removal by an operator is not excused, because the counters show it to a reader. A wipe
    /// also removes the counters, and a server whose clock is behind dates them wrongly. A reader
    /// that starts after that cannot detect the loss. [`Losses`] decides about losses by the server.
    pub(super) fn is_excused(&self, revocation: &Revocation, request: &Request) -> bool {
        let life = self.life(request);
        if !self.history.promise.strict
            && (!self.can_verify(request, revocation) || self.is_unread(request, revocation))
        {
            return true;
        }
        // The STS decides from Caracal's records, so its layer denies only what it knows.
        if revocation.hidden && request.route == Route::Sts {
            return true;
        }
        // Before the loss, the message was in the stream.
        let lost = revocation.loss.filter(|loss| loss.at <= request.received);
        let Some(loss) = lost else { return false };
        // A reader with a snapshot began at the snapshot. A stream that was empty then looks like
        // any other stream to it.
        let had_begun = |at: &At| self.had_any(revocation.stream(), *at);
        let began = life.recalled.filter(had_begun).or(self.ready(request));
        let began_after = |at| began.is_none_or(|began| began > at);
        if request.route == Route::Sts {
            return true;
        }
        if self.history.promise.strict {
            return false;
        }
        let group = revocation.group();
        if group != Group::Authority {
            return !self.losses.is_detectable(request.life, group, loss.at);
        }
        if let Some(reload) = self.history.promise.reload {
            // After a loss and at the start, the reader reads the baseline.
            let back = self.back(request, self.over(loss.at).max(life.started));
            if request.sent > back.plus(self.recovery() + reload) {
                return false;
            }
        }
        match loss.how {
            Lost::ByServer => !self.losses.is_detectable(request.life, group, loss.at),
            Lost::Wiped | Lost::Removed => {
                loss.untraced.is_some_and(began_after)
                    || (self.is_misdated(revocation) && began_after(loss.at))
            }
        }
    }

    /// Returns `true` if any revocation on the stream was acknowledged by then.
    fn had_any(&self, stream: &str, by: At) -> bool {
        let revocations =
            self.history.revocations.iter().filter(|revocation| revocation.stream() == stream);
        revocations.filter_map(|revocation| revocation.acked).any(|acked| acked < by)
    }

    /// Returns the end of the fault that began at this time.
    fn over(&self, began: At) -> At {
        let fault = self.history.faults.iter().find(|fault| fault.began == began);
        fault.map_or(began, |fault| fault.ended)
    }

    /// Returns the last start of this reader, up to this request, with a snapshot from before
    /// `before`. The reader then detects again whatever happened at that time.
    pub(super) fn read_on(&self, request: &Request, before: At) -> At {
        let lives = &self.history.readers[..=request.life];
        let lives = lives.iter().filter(|life| life.reader == self.life(request).reader);
        let again = lives.filter(|life| life.recalled.is_some_and(|recalled| recalled < before));
        again.map(|life| life.started).max().unwrap_or_default()
    }

    /// Returns the time at which Redis was available to a reader that reads from it since `from`.
    pub(super) fn back(&self, request: &Request, from: At) -> At {
        self.windows(request).iter().fold(from, |back, window| {
            if window.began <= back.plus(self.recovery()) { back.max(window.ended) } else { back }
        })
    }

    /// Returns `true` if the revocation's id is seconds older than the first attempt to publish it.
    fn is_misdated(&self, revocation: &Revocation) -> bool {
        let ms = revocation.id.as_deref().and_then(|id| id.split('-').next()?.parse::<u64>().ok());
        let attempted = (self.history.unix_start + revocation.attempted.0) / 1_000;
        ms.is_some_and(|ms| ms + MISDATED_MS < attempted)
    }

    /// Returns `true` if the reader had recovered from every hindrance before this time, and nothing
    /// has hindered it since.
    pub(super) fn is_calm(&self, request: &Request, since: At) -> bool {
        let unhindered = self.unhindered_since(request);
        let mut faults = self.history.faults.iter();
        let is_late = faults.any(|fault| {
            // New ids may be lower after a wipe, and then wake no read that waits for higher ones.
            let until = fault.slow_until.or(fault.wipes.then_some(fault.ended));
            fault.scope.includes(self.life(request).reader)
                && fault.began <= request.received
                && until.is_some_and(|until| since < until.plus(self.recovery()))
        });
        !is_late && unhindered.is_some_and(|unhindered| unhindered.plus(self.recovery()) <= since)
    }

    /// Returns the last time at which another server had taken over.
    pub(super) fn taken_over(&self, request: &Request) -> At {
        let faults = self.history.faults.iter();
        let faults = faults.filter(|fault| fault.takes_over && fault.began <= request.received);
        faults.map(|fault| fault.ended).max().unwrap_or_default()
    }

    /// Returns `true` if a step of the reader's wall clock can be the reason that its view looks old.
    /// A view is as old as the clock says that shows more.
    pub(super) fn is_stepped(&self, request: &Request) -> bool {
        let mut faults = self.history.faults.iter();
        faults.any(|fault| {
            // The next proof may have to wait until Redis is back.
            let has_just = |stepped: At| {
                let proven = self.back(request, stepped).plus(self.recovery());
                stepped <= request.received && request.sent <= proven
            };
            fault.steps_clock
                && fault.scope.includes(self.life(request).reader)
                && (has_just(fault.began) || has_just(fault.ended))
        })
    }

    /// Returns `true` if the process ended or was suspended before it was due to answer.
    pub(super) fn is_stopped(&self, request: &Request) -> bool {
        let life = self.life(request);
        let mut suspended = self.history.faults.iter().filter(|fault| {
            fault.suspends && fault.scope.includes(life.reader) && fault.began <= request.received
        });
        life.leaving.or(life.ended).is_some_and(|leaving| leaving <= request.received)
            || suspended.any(|fault| request.sent <= fault.ended)
    }

    /// Returns the time since which nothing hindered the reader; `None` while it is cut off.
    pub(super) fn unhindered_since(&self, request: &Request) -> Option<At> {
        let started = self.life(request).began();
        match self.windows(request).last_before(request.received) {
            Some(window) if window.ended >= request.sent => None,
            Some(window) => Some(started.max(window.ended)),
            None => Some(started),
        }
    }
}
