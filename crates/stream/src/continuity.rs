//! Whether the server that answers now still has what the one before had acknowledged.
//!
//! A restart or a failover can lose messages that the server had acknowledged, and counting shows
//! it only if they had been read. The run id and the replication id show that one took place; the
//! offset at which a replica became the primary can show that nothing proven was lost.

use crate::log::LogError;
use crate::redis_reply::info_field;

const LACKING: LogError = LogError::Reply("INFO lacks a field");

/// Who a server is, and where it stands in its history: from `INFO server` and `INFO replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) run_id: Box<str>,
    /// The history that its data belongs to.
    pub(crate) history: Box<str>,
    /// How far in that history it is.
    pub(crate) offset: i64,
    /// The history that it had before it was promoted, and the first offset that is not of it.
    pub(crate) earlier: Option<(Box<str>, i64)>,
    pub(crate) is_replica: bool,
    /// Of the server that the stream was on before, if it is still the primary that it was: its
    /// run id.
    pub(crate) moved_from: Option<Box<str>>,
}

/// What a change of server may have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LossSuspicion {
    /// It was started again, or another stands in its place.
    Restarted,
    /// A replica was promoted that may not have had everything.
    Failover,
    /// The same process has the data of another.
    Resynced,
}

/// What is to be thought of the server that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// It has all that was proven.
    Sound,
    /// So has this one, which took over from another; what that acknowledged afterwards, nobody
    /// can tell.
    TookOver,
    /// The stream was moved here from a server that is still what it was: it took everything along.
    Moved,
    /// It may have lost what the one before it had acknowledged.
    LossSuspected(LossSuspicion),
    /// It is a replica that has not got yet what was proven elsewhere: nothing is lost.
    Behind,
}

/// The server as it was last seen, and up to where its history is proven.
#[derive(Debug, Default)]
pub(crate) struct ContinuityTracker {
    last: Option<Identity>,
    proven: Option<(Box<str>, i64)>,
}

impl LossSuspicion {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::Failover => "failover",
            Self::Resynced => "resynced",
        }
    }
}

impl Identity {
    /// The run id in the answer to `INFO server`.
    pub(crate) fn run_id(server: &str) -> Result<&str, LogError> {
        info_field(server, "run_id").ok_or(LACKING)
    }

    /// Reads the answer to `INFO replication` of the process with this run id.
    pub(crate) fn of(run_id: &str, replication: &str) -> Result<Self, LogError> {
        let text = |name| info_field(replication, name).ok_or(LACKING);
        let number = |name| text(name)?.parse::<i64>().map_err(|_| LACKING);
        let earlier = text("master_replid2")?;
        let is_set = earlier.bytes().any(|digit| digit != b'0');
        Ok(Self {
            run_id: run_id.into(),
            history: text("master_replid")?.into(),
            offset: number("master_repl_offset")?,
            earlier: is_set
                .then(|| Ok::<_, LogError>((earlier.into(), number("second_repl_offset")?)))
                .transpose()?,
            is_replica: text("role")? == "slave",
            moved_from: None,
        })
    }
}

impl ContinuityTracker {
    /// Takes in who answers now.
    pub(crate) fn observe(&mut self, now: &Identity) -> Continuity {
        let continuity = self.compare(now);
        if continuity != Continuity::Behind {
            self.last = Some(now.clone());
        }
        if matches!(continuity, Continuity::LossSuspected(_) | Continuity::TookOver | Continuity::Moved) {
            self.proven = None;
        }
        continuity
    }

    /// Whether another process, or another history, answers than the last time.
    pub(crate) fn is_another(&self, now: &Identity) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| (&last.run_id, &last.history) != (&now.run_id, &now.history))
    }

    /// Everything was proven that the server had at this offset of this history.
    pub(crate) fn prove(&mut self, history: &str, offset: i64) {
        // Unless the history is not the server's any more.
        if self.last.as_ref().is_some_and(|last| *last.history == *history) {
            self.proven = Some((history.into(), offset));
        }
    }

    fn compare(&self, now: &Identity) -> Continuity {
        let Some(last) = &self.last else { return Continuity::Sound };
        let is_same_process = last.run_id == now.run_id;
        if !is_same_process && now.moved_from.as_ref() == Some(&last.run_id) {
            return Continuity::Moved;
        }
        let (history, offset) = match &self.proven {
            Some((history, offset)) => (history, *offset),
            None => (&last.history, last.offset),
        };
        if now.history == *history {
            return match (now.offset >= offset, now.is_replica) {
                (true, _) => Continuity::Sound,
                (false, true) => Continuity::Behind,
                // Its own history, shortened.
                (false, false) => Continuity::LossSuspected(LossSuspicion::Restarted),
            };
        }
        match &now.earlier {
            Some((earlier, end)) if earlier == history && *end > offset => Continuity::TookOver,
            Some((earlier, _)) if earlier == history => Continuity::LossSuspected(LossSuspicion::Failover),
            // A primary that has had no replica for long begins a new history by itself.
            None if is_same_process && !last.is_replica && !now.is_replica => Continuity::Sound,
            _ if is_same_process => Continuity::LossSuspected(LossSuspicion::Resynced),
            _ => Continuity::LossSuspected(LossSuspicion::Restarted),
        }
    }
}

#[cfg(test)]
mod tests;
