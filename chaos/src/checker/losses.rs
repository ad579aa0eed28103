//! Decides which losses by the server a process can detect from the counters of the streams.
//!
//! A process counts every message that it reads. If the server loses one of these, the counters no
//! longer agree, and the next proof of the process raises the horizon. The horizon covers all
//! streams with revocations, and so also the lost messages that the process had not read. A loss in
//! the stream about keys or policies lets the process load them again. Only two losses leave no
//! trace: the process had read none of the lost messages, or the server has assigned their ids
//! again.

use std::collections::{HashMap, HashSet};

use crate::history::{Answer, Group, History, Lost, Revocation};
use crate::time::At;

use super::windows::Windows;

#[derive(Debug)]
pub(super) struct Losses {
    /// For each process, the starts of the faults whose losses it can detect, by group of streams.
    detectable: Vec<HashSet<(Group, At)>>,
}

/// The evidence that a process had read a message.
struct Evidence<'h> {
    history: &'h History,
    windows: &'h [Windows],
    /// By process and token: the first denial as revoked.
    denied: HashMap<(usize, usize), At>,
}

impl Losses {
    pub(super) fn of(history: &History, windows: &[Windows]) -> Self {
        let mut denied = HashMap::new();
        for request in history.requests.iter().filter(|r| r.answer == Answer::Revoked) {
            let first = denied.entry((request.life, request.token)).or_insert(request.received);
            *first = (*first).min(request.received);
        }
        let evidence = Evidence { history, windows, denied };
        let lost: Vec<_> = history
            .revocations
            .iter()
            .filter_map(|revocation| Some((revocation, revocation.loss?)))
            .filter(|(revocation, loss)| {
                let is_shown = revocation.group() != Group::Authority || loss.how == Lost::ByServer;
                is_shown && !is_id_reused(history, revocation, loss.at)
            })
            .collect();
        let detectable = |life| {
            let read = lost.iter().filter(|(lost, loss)| evidence.had_read(life, lost, loss.at));
            read.map(|(lost, loss)| (lost.group(), loss.at)).collect()
        };
        Self { detectable: (0..history.readers.len()).map(detectable).collect() }
    }

    /// Returns `true` if the process can detect a loss in this group of streams, by the fault that
    /// began at this time.
    pub(super) fn is_detectable(&self, life: usize, group: Group, fault: At) -> bool {
        self.detectable[life].contains(&(group, fault))
    }
}

impl Evidence<'_> {
    /// Returns `true` if the process, or the one whose snapshot it restored, had read the message
    /// by then.
    fn had_read(&self, life: usize, revocation: &Revocation, by: At) -> bool {
        let process = &self.history.readers[life];
        let by = by.min(process.ended.unwrap_or(At::NEVER));
        if self.had_denied(life, revocation, by) || self.had_time(life, revocation, by) {
            return true;
        }
        let Some(recalled) = process.recalled else { return false };
        let mut before = (0..life).rev();
        let before = before.find(|n| self.history.readers[*n].reader == process.reader);
        before.is_some_and(|before| self.had_read(before, revocation, by.min(recalled)))
    }

    /// Returns `true` if a denial shows that the process had read the message. A baseline is another
    /// reason to deny the token, and so are new keys or a new policy.
    fn had_denied(&self, life: usize, revocation: &Revocation, by: At) -> bool {
        self.history.promise.reload.is_none()
            && revocation.group() == Group::Authority
            && self.denied.get(&(life, revocation.token)).is_some_and(|denied| *denied < by)
    }

    /// Returns `true` if nothing hindered the process for long enough to read the message.
    fn had_time(&self, life: usize, revocation: &Revocation, by: At) -> bool {
        let process = &self.history.readers[life];
        let windows = &self.windows[process.reader];
        let calm = match windows.last_before(by) {
            Some(window) if window.ended >= by => return false,
            Some(window) => process.began().max(window.ended),
            None => process.began(),
        };
        revocation
            .acked
            .is_some_and(|acked| acked.max(calm).plus(self.history.promise.recovery) <= by)
    }
}

/// Returns `true` if a message that was published later has this id or a lower one. The counters may
/// then agree although messages are missing.
fn is_id_reused(history: &History, lost: &Revocation, at: At) -> bool {
    let id = |revocation: &Revocation| crate::message::parse_id(revocation.id.as_deref()?);
    let Some(lost_id) = id(lost) else { return true };
    let mut later = history.revocations.iter().filter(|revocation| {
        revocation.stream() == lost.stream() && revocation.acked.is_some_and(|acked| acked > at)
    });
    later.any(|later| {
        later.loss.is_none_or(|loss| loss.at != at) && id(later).is_none_or(|id| id <= lost_id)
    })
}
