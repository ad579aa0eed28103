//! The kinds of faults, and one fault with its parameters.

use std::time::Duration;

use clap::ValueEnum;

use crate::setup::Setup;

/// A kind of fault. `--only` accepts these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Kind {
    /// `kill -9` of the primary, and a restart with every write on disk.
    Kill,
    /// `kill -9`, and a restart from an append-only file that lost its end, as after a power
    /// failure.
    LoseTail,
    /// `kill -9`, and a restart without the append-only file.
    LoseAll,
    /// SIGSTOP of the primary, and later SIGCONT.
    Freeze,
    /// The replica becomes the primary. No message is lost.
    Failover,
    /// The replica becomes the primary, and lacks the newest messages.
    LossyFailover,
    /// The network is cut, and open connections are reset.
    Cut,
    /// The network holds back all data for a while.
    Stall,
    /// A reply arrives seconds late, and then no request reaches Redis.
    OneWay,
    /// Every reply is late.
    Slow,
    /// The stream is trimmed past the position of a reader.
    Trim,
    /// Messages are deleted before a reader has read them.
    Delete,
    /// FLUSHALL.
    Flush,
    /// The server's ids jump into the future.
    IdsAhead,
    /// The server's clock is behind for a while: messages get ids from the past.
    IdsBehind,
    /// Old messages that every reader has read are trimmed. No reader may be affected.
    Tidy,
    /// Forged and unusable messages are added.
    Forge,
    /// `kill -9` of a reader, and a new one in its place.
    RestartReader,
    /// SIGSTOP of a reader, and later SIGCONT.
    FreezeReader,
    /// Two readers follow a replica that receives its data seconds late. One also asks the primary,
    /// the other knows no primary.
    LaggingReplica,
    /// Producers sign with a new key. Readers receive it later, by a restart.
    RotatedKey,
    /// A crash loses the newest entries, and new entries get the same ids, while a reader with a
    /// snapshot is down.
    ReusedIds,
    /// A reader follows a database or a server that has none of the streams.
    Unprovisioned,
    /// A message too large to be read is at the start of a quiet stream.
    Oversized,
    /// The server closes connections with large replies while a reader starts.
    OutputLimit,
    /// The network resets connections with large replies while a reader starts.
    CutAnswer,
    /// A large message arrives over a link that carries 4 MB a second.
    SlowLine,
    /// A writer moves the anchor of signed messages into another field.
    Recut,
    /// A reader starts from a snapshot that another key has sealed, with false revocations in it.
    ForeignSnapshot,
    /// The index of a reader has less room than the streams have revocations.
    Full,
    /// The wall clock of a reader is set forward or back, and later right again.
    StepClock,
    /// `kill -9` of a master in a burst of messages. The sentinels, or the other masters, promote its
    /// replica.
    LoseMaster,
    /// SIGSTOP of a master until its replica was promoted, and then SIGCONT.
    FreezeMaster,
    /// SIGSTOP of another master of the cluster, which has no replica, and later SIGCONT.
    FreezeOther,
    /// Readers, the primary and one sentinel are on one side of a partition. On the other side, two
    /// sentinels promote the replica, and publishers write to it.
    LeftBehind,
    /// Readers cannot reach one or two of the three sentinels or masters.
    CutQuorum,
    /// The slot of a stream moves to another master and back, while messages are published.
    MoveSlot,
}

/// A fault, with every parameter chosen before it is injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// The duration. Zero if the fault ends by itself.
    pub lasts: Duration,
    /// The readers that it affects, where a fault can affect a single reader.
    pub affected: Affected,
    /// The end of a stalled network. Other kinds of fault use it to choose a variant.
    pub ending: Ending,
    /// The size of the fault, by kind: messages kept, bytes lost, milliseconds of delay.
    pub amount: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affected {
    Everyone,
    Reader(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The data that was held back is delivered.
    Resumes,
    /// Both ends of the connection receive a reset.
    Resets,
    /// The old connections stay silent until they are closed. New ones work.
    StaysSilent,
}

impl Kind {
    pub const ALL: &'static [Self] = &[
        Self::Kill,
        Self::LoseTail,
        Self::LoseAll,
        Self::Freeze,
        Self::Failover,
        Self::LossyFailover,
        Self::Cut,
        Self::Stall,
        Self::OneWay,
        Self::Slow,
        Self::Trim,
        Self::Delete,
        Self::Flush,
        Self::IdsAhead,
        Self::IdsBehind,
        Self::Tidy,
        Self::Forge,
        Self::RestartReader,
        Self::FreezeReader,
        Self::LaggingReplica,
        Self::RotatedKey,
        Self::ReusedIds,
        Self::Unprovisioned,
        Self::Oversized,
        Self::OutputLimit,
        Self::CutAnswer,
        Self::SlowLine,
        Self::Recut,
        Self::ForeignSnapshot,
        Self::Full,
        Self::StepClock,
        Self::LoseMaster,
        Self::FreezeMaster,
        Self::FreezeOther,
        Self::LeftBehind,
        Self::CutQuorum,
        Self::MoveSlot,
    ];

    /// Returns `true` if the fault can occur with these servers.
    pub const fn occurs_in(self, setup: Setup) -> bool {
        match self {
            Self::Cut
            | Self::Stall
            | Self::OneWay
            | Self::Slow
            | Self::Trim
            | Self::Delete
            | Self::Tidy
            | Self::Forge
            | Self::RestartReader
            | Self::FreezeReader
            | Self::Recut
            | Self::StepClock => true,
            Self::LoseMaster | Self::FreezeMaster | Self::CutQuorum => {
                matches!(setup, Setup::Sentinel | Setup::Cluster)
            }
            Self::LeftBehind => matches!(setup, Setup::Sentinel),
            Self::FreezeOther | Self::MoveSlot => matches!(setup, Setup::Cluster),
            _ => matches!(setup, Setup::Pair),
        }
    }

    /// Returns the name that `--only` accepts.
    pub fn label(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns `true` if the fault removes everything, including the streams' counters. A schedule
    /// has at most one of these: after two, the checker could not know which losses readers can
    /// detect.
    pub const fn wipes(self) -> bool {
        matches!(self, Self::LoseAll | Self::Flush | Self::IdsBehind)
    }

    /// Returns `true` if the fault takes about ten seconds. A second one would show nothing new.
    pub const fn is_long(self) -> bool {
        matches!(
            self,
            Self::LaggingReplica
                | Self::RotatedKey
                | Self::ReusedIds
                | Self::Unprovisioned
                | Self::OutputLimit
                | Self::CutAnswer
                | Self::SlowLine
                | Self::ForeignSnapshot
                | Self::Full
                | Self::LeftBehind
        )
    }

    /// Returns `true` if the fault ends readers and starts new ones in their place.
    pub const fn restarts_readers(self) -> bool {
        matches!(self, Self::RestartReader | Self::RotatedKey | Self::OutputLimit | Self::CutAnswer)
    }

    /// Returns `true` if the fault leaves a large message at the start of a stream. Each reply with
    /// the stream's counters then has that message, so readers ask for them less often.
    pub const fn enlarges(self) -> bool {
        matches!(self, Self::Oversized | Self::SlowLine)
    }

    /// Returns the group of kinds that use large messages. A schedule has kinds of one group only:
    /// two groups together need more than a link or a limit allows, and no view could be fresh.
    pub const fn size_group(self) -> Option<u8> {
        match self {
            Self::Oversized => Some(0),
            Self::SlowLine => Some(1),
            Self::OutputLimit | Self::CutAnswer => Some(2),
            _ => None,
        }
    }

    /// Returns `true` if another server process takes over.
    pub const fn takes_over(self) -> bool {
        matches!(
            self,
            Self::Kill
                | Self::LoseTail
                | Self::LoseAll
                | Self::Failover
                | Self::LossyFailover
                | Self::ReusedIds
                | Self::LoseMaster
                | Self::FreezeMaster
                | Self::LeftBehind
        )
    }

    /// Returns `true` if the fault adds messages that no key has signed.
    pub const fn forges(self) -> bool {
        matches!(self, Self::Forge | Self::OutputLimit | Self::CutAnswer | Self::SlowLine)
    }
}

impl Kind {
    /// Returns `true` if a reader in strict mode may suspect a loss afterwards.
    pub const fn raises_doubt(self) -> bool {
        !matches!(
            self,
            Self::Freeze
                | Self::Cut
                | Self::Stall
                | Self::OneWay
                | Self::Slow
                | Self::IdsAhead
                | Self::Forge
                | Self::FreezeReader
                | Self::RestartReader
                | Self::LaggingReplica
                | Self::RotatedKey
                | Self::Unprovisioned
                | Self::OutputLimit
                | Self::CutAnswer
                | Self::SlowLine
                | Self::ForeignSnapshot
                | Self::Full
                | Self::StepClock
                | Self::FreezeOther
                | Self::CutQuorum
                | Self::MoveSlot
        )
    }
}

impl Fault {
    /// Returns `true` if no proof can reach the affected readers during the fault.
    pub const fn severs(&self) -> bool {
        match self.kind {
            Kind::Kill
            | Kind::LoseTail
            | Kind::LoseAll
            | Kind::Failover
            | Kind::LossyFailover
            | Kind::Freeze
            | Kind::Cut
            | Kind::LeftBehind => true,
            Kind::CutQuorum => self.amount > 1,
            _ => false,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind.label())?;
        if self.lasts > Duration::ZERO {
            write!(f, " {:.1} s", self.lasts.as_secs_f64())?;
        }
        match self.affected {
            Affected::Everyone => {}
            Affected::Reader(reader) => write!(f, " reader {reader}")?,
        }
        match (self.kind, self.ending) {
            (Kind::Stall, Ending::Resumes) => write!(f, ", then continues"),
            (Kind::Stall, Ending::Resets) => write!(f, ", then resets"),
            (Kind::Stall, Ending::StaysSilent) => write!(f, ", old connections stay silent"),
            (Kind::RotatedKey, Ending::Resumes) => write!(f, ", then accepted as the previous key"),
            (Kind::RotatedKey, Ending::Resets) => write!(f, ", after a restart without it"),
            (Kind::RotatedKey, Ending::StaysSilent) => write!(f, ", by one producer first"),
            (Kind::Forge, Ending::StaysSilent) => write!(f, ", then silence"),
            (Kind::Unprovisioned, Ending::Resumes) => write!(f, ", then provisioned"),
            (Kind::StepClock, Ending::Resumes) => write!(f, ", {} ms back", self.amount),
            (Kind::StepClock, _) => write!(f, ", {} ms forward", self.amount),
            (Kind::LoseMaster, Ending::Resumes) => write!(f, ", while the replica was frozen"),
            (Kind::CutQuorum, _) => write!(f, ", {} of 3", self.amount),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_documented() {
        let page = include_str!("../../docs/chaos.md");
        let missing: Vec<_> = Kind::ALL
            .iter()
            .filter(|kind| !page.contains(&format!("`{}`", kind.label())))
            .collect();
        assert!(missing.is_empty(), "docs/chaos.md has no {missing:?}");
    }
}
