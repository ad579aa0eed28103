//! The evidence of a gap in a stream, and the reasons to suspect one.

/// The evidence that entries of a stream are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The stream existed, and is gone.
    Missing,
    /// The server's ids are lower than those that were read.
    IdsWentBack,
    /// The number of entries read differs from the number added.
    Count,
    /// A suspected gap: nothing proves it, but strict mode assumes it.
    Suspected,
}

impl GapCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Missing, Self::IdsWentBack, Self::Count, Self::Suspected];

    /// Returns the cause as a label: `missing`, `ids_went_back`, `count` or `suspected`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::IdsWentBack => "ids_went_back",
            Self::Count => "count",
            Self::Suspected => "suspected",
        }
    }
}

/// The reason to suspect that a change of server lost messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossSuspicion {
    /// The server was restarted, or another one replaced it.
    Restarted,
    /// A replica was promoted that may have lacked messages.
    Failover,
    /// The process is the same, but its data is that of another server.
    Resynced,
}

impl LossSuspicion {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Restarted, Self::Failover, Self::Resynced];

    /// Returns the reason as a label: `restarted`, `failover` or `resynced`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::Failover => "failover",
            Self::Resynced => "resynced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_metrics() {
        let gaps = ["missing", "ids_went_back", "count", "suspected"];
        assert_eq!(GapCause::ALL.map(GapCause::label), gaps);
        let suspicions = ["restarted", "failover", "resynced"];
        assert_eq!(LossSuspicion::ALL.map(LossSuspicion::label), suspicions);
    }
}
