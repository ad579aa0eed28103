//! The faults that are injected.

use std::time::Duration;

use clap::ValueEnum;

/// A kind of fault, as `--only` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Kind {
    /// kill -9, and a restart with every write on disk.
    Kill,
    /// kill -9, and a restart from an append-only file that lost its end, as in a power failure.
    LoseTail,
    /// kill -9, and a restart without the append-only file.
    LoseAll,
    /// SIGSTOP and SIGCONT.
    Freeze,
    /// The replica takes over; nothing was lost.
    Failover,
    /// The replica takes over, and lacks the last messages.
    LossyFailover,
    /// The network is cut, and connections with it.
    Cut,
    /// The network swallows everything for a while.
    Stall,
    /// An answer comes seconds late, and then the network lets nothing through to Redis.
    OneWay,
    /// Every answer is late.
    Slow,
    /// The stream is trimmed beyond what a reader has read.
    Trim,
    /// Messages are deleted that a reader has not read.
    Delete,
    /// FLUSHALL.
    Flush,
    /// The server's ids leap into the future.
    IdsAhead,
    /// The server's clock is behind for a while: messages get ids from the past.
    IdsBehind,
    /// Old messages, read by all, are trimmed: that must harm nobody.
    Tidy,
    /// Forged and unusable messages.
    Forge,
    /// kill -9 of a reader, and a new one.
    RestartReader,
    /// SIGSTOP and SIGCONT of a reader.
    FreezeReader,
    /// A replica gets its data seconds late, and readers follow it: one asks its primary, one
    /// knows no primary.
    LaggingReplica,
    /// Producers sign with a new key, which readers learn later by a restart.
    RotatedKey,
    /// A crash loses the newest entries, and their ids are given to new ones, while a reader with
    /// a snapshot is down.
    ReusedIds,
    /// A reader follows a database or a server that has none of the streams.
    Unprovisioned,
    /// A message that is too large to be read, at the head of a quiet stream.
    Oversized,
    /// The server closes connections whose answers are large, while a reader starts.
    OutputLimit,
    /// The network resets connections whose answers are large, while a reader starts.
    CutAnswer,
    /// A large message on a line that carries 4 MB a second.
    SlowLine,
}

/// A fault with everything that is to be known before it is injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// How long it lasts; what has no duration ends by itself.
    pub lasts: Duration,
    /// Whom it hits, where it can hit one reader alone.
    pub whom: Whom,
    /// How a stalled network ends.
    pub ending: Ending,
    /// By how much, where there is a much: messages kept, bytes lost, milliseconds of delay.
    pub amount: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Everyone,
    Reader(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What was swallowed is delivered after all.
    Resumes,
    /// Both ends are told that the connection is gone.
    Resets,
    /// The old connections stay silent for ever; new ones work.
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
    ];

    /// The name that `--only` knows it by.
    pub fn label(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Everything is gone afterwards, counters and all: twice in a schedule, and nobody could
    /// tell any more what could have been noticed.
    pub const fn wipes(self) -> bool {
        matches!(self, Self::LoseAll | Self::Flush | Self::IdsBehind)
    }

    /// Takes ten seconds, and shows nothing more the second time in a schedule.
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
        )
    }

    /// Ends readers, and starts new ones in their place.
    pub const fn restarts_readers(self) -> bool {
        matches!(self, Self::RestartReader | Self::RotatedKey | Self::OutputLimit | Self::CutAnswer)
    }

    /// Leaves a large message at the head of a stream: each question about its counters is answered
    /// with it, and so asked more rarely.
    pub const fn enlarges(self) -> bool {
        matches!(self, Self::Oversized | Self::SlowLine)
    }

    /// Returns the group of kinds about size; a schedule has kinds of one group. Two groups together
    /// ask for more than a line or a limit lets through, and no view can be fresh then.
    pub const fn size_group(self) -> Option<u8> {
        match self {
            Self::Oversized => Some(0),
            Self::SlowLine => Some(1),
            Self::OutputLimit | Self::CutAnswer => Some(2),
            _ => None,
        }
    }

    /// Adds messages that no key has signed.
    pub const fn forges(self) -> bool {
        matches!(self, Self::Forge | Self::OutputLimit | Self::CutAnswer | Self::SlowLine)
    }
}

impl Kind {
    /// Whether a reader in strict mode may take messages for lost afterwards.
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
        )
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind.label())?;
        if self.lasts > Duration::ZERO {
            write!(f, " {:.1} s", self.lasts.as_secs_f64())?;
        }
        match self.whom {
            Whom::Everyone => {}
            Whom::Reader(reader) => write!(f, " reader {reader}")?,
        }
        match (self.kind, self.ending) {
            (Kind::Stall, Ending::Resumes) => write!(f, ", then goes on"),
            (Kind::Stall, Ending::Resets) => write!(f, ", then resets"),
            (Kind::Stall, Ending::StaysSilent) => write!(f, ", old connections stay silent"),
            (Kind::RotatedKey, Ending::Resumes) => write!(f, ", learnt as the previous key"),
            (Kind::RotatedKey, Ending::Resets) => write!(f, ", after a restart without it"),
            (Kind::RotatedKey, Ending::StaysSilent) => write!(f, ", by one producer first"),
            (Kind::Forge, Ending::StaysSilent) => write!(f, ", then silence"),
            (Kind::Unprovisioned, Ending::Resumes) => write!(f, ", then provisioned"),
            _ => Ok(()),
        }
    }
}
