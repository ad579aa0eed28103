//! Suspensions and resumes of a session. The result is the same for every order of delivery.

use caracal_revocation_event::{DecidedAt, OccurredAt};
use serde::{Deserialize, Serialize};

use crate::clock::UnixSeconds;

/// The status of a session that follows from its suspensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuspensionStatus {
    /// Every token is denied until a resume.
    Suspended,
    /// Tokens with `iat` at or before this second are denied; later ones are admitted.
    DeniedUpTo(UnixSeconds),
    /// Nothing is known against the session.
    Clear,
}

/// The two times of a suspension or resume. A resume without a decided time lifts nothing. A
/// suspension without one is never lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SuspensionTimes {
    occurred: OccurredAt,
    decided: Option<DecidedAt>,
}

impl SuspensionTimes {
    /// Returns `true` if a resume at these times lifts that suspension: both must be later.
    fn lifts(self, suspension: Self) -> bool {
        let decided = self.decided.zip(suspension.decided);
        suspension.occurred < self.occurred && decided.is_some_and(|(resume, held)| held < resume)
    }

    /// Returns `true` if every resume that lifts this suspension lifts the other too.
    fn outlasts(self, other: Self) -> bool {
        let decided = match (self.decided, other.decided) {
            (None, _) => true,
            (Some(own), Some(other)) => own >= other,
            (Some(_), None) => false,
        };
        self.occurred >= other.occurred && decided
    }

    /// Returns `true` if this resume lifts every suspension that the other lifts.
    fn reaches(self, other: Self) -> bool {
        let decided = match (self.decided, other.decided) {
            (_, None) => true,
            (Some(own), Some(other)) => own >= other,
            (None, Some(_)) => false,
        };
        self.occurred >= other.occurred && decided
    }
}

/// The suspensions and resumes of one session, without those that others make redundant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspensions {
    held: Vec<SuspensionTimes>,
    resumes: Vec<SuspensionTimes>,
    /// The time of the latest suspension that was lifted.
    lifted: Option<OccurredAt>,
}

impl Suspensions {
    pub(crate) fn suspend(&mut self, occurred: OccurredAt, decided: Option<DecidedAt>) {
        let times = SuspensionTimes { occurred, decided };
        if !self.held.iter().any(|held| held.outlasts(times)) {
            self.held.retain(|held| !times.outlasts(*held));
            self.held.push(times);
        }
        self.settle();
    }

    pub(crate) fn resume(&mut self, occurred: OccurredAt, decided: Option<DecidedAt>) {
        let times = SuspensionTimes { occurred, decided };
        if !self.resumes.iter().any(|resume| resume.reaches(times)) {
            self.resumes.retain(|resume| !times.reaches(*resume));
            self.resumes.push(times);
        }
        self.settle();
    }

    /// Adds a suspension that is known to have ended. Lifts no other suspension.
    pub(crate) fn ended(&mut self, occurred: OccurredAt) {
        self.lifted = self.lifted.max(Some(occurred));
    }

    /// Adds all suspensions and resumes of another value.
    pub(crate) fn join(&mut self, other: &Self) {
        for SuspensionTimes { occurred, decided } in &other.held {
            self.suspend(*occurred, *decided);
        }
        for SuspensionTimes { occurred, decided } in &other.resumes {
            self.resume(*occurred, *decided);
        }
        self.lifted = self.lifted.max(other.lifted);
    }

    pub(crate) fn status(&self) -> SuspensionStatus {
        match (self.held.is_empty(), self.lifted) {
            (false, _) => SuspensionStatus::Suspended,
            // Contract: tokens with an `iat` up to the second after the suspension stay denied.
            (true, Some(lifted)) => SuspensionStatus::DeniedUpTo(UnixSeconds::new(
                lifted.floor_seconds().saturating_add(1),
            )),
            (true, None) => SuspensionStatus::Clear,
        }
    }

    fn settle(&mut self) {
        let Self { held, resumes, lifted } = self;
        held.retain(|suspension| {
            let is_lifted = resumes.iter().any(|resume| resume.lifts(*suspension));
            if is_lifted {
                *lifted = (*lifted).max(Some(suspension.occurred));
            }
            !is_lifted
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> OccurredAt {
        OccurredAt::parse(&format!("2026-11-20T10:00:{second:02}.500Z")).unwrap()
    }

    fn denied_up_to(suspended: OccurredAt) -> SuspensionStatus {
        SuspensionStatus::DeniedUpTo(UnixSeconds::new(suspended.floor_seconds() + 1))
    }

    fn decided(ms: u64) -> Option<DecidedAt> {
        let hex = format!("{ms:012x}");
        DecidedAt::from_outbox_id(&format!("{}-{}-7000-8000-000000000000", &hex[..8], &hex[8..]))
    }

    #[test]
    fn resume_lifts_only_suspensions_earlier_in_both_times() {
        let mut session = Suspensions::default();
        session.suspend(at(10), decided(100));
        session.resume(at(20), decided(100));
        assert_eq!(session.status(), SuspensionStatus::Suspended, "decided at the same time");
        session.resume(at(10), decided(200));
        assert_eq!(session.status(), SuspensionStatus::Suspended, "occurred at the same time");
        session.resume(at(20), decided(200));
        assert_eq!(session.status(), denied_up_to(at(10)));
        session.suspend(at(30), decided(300));
        assert_eq!(session.status(), SuspensionStatus::Suspended);
    }

    #[test]
    fn neither_of_two_suspensions_replaces_the_other_if_both_times_disagree() {
        let suspended = || {
            let mut session = Suspensions::default();
            session.suspend(at(10), decided(300));
            session.suspend(at(20), decided(100));
            session
        };
        for (occurred, decided_at) in [(15, 400), (30, 200)] {
            let mut session = suspended();
            session.resume(at(occurred), decided(decided_at));
            assert_eq!(session.status(), SuspensionStatus::Suspended, "one of both is lifted");
        }
        let mut session = suspended();
        session.resume(at(30), decided(400));
        assert_eq!(session.status(), denied_up_to(at(20)));
    }

    #[test]
    fn neither_of_two_resumes_replaces_the_other_if_both_times_disagree() {
        for (occurred, decided_at) in [(5, 200), (15, 50)] {
            let mut session = Suspensions::default();
            session.resume(at(10), decided(300));
            session.resume(at(20), decided(100));
            session.suspend(at(occurred), decided(decided_at));
            assert_eq!(session.status(), denied_up_to(at(occurred)));
        }
    }

    #[test]
    fn suspension_without_decided_time_is_never_lifted() {
        let mut session = Suspensions::default();
        session.suspend(at(10), None);
        session.resume(at(59), decided(u64::MAX >> 16));
        assert_eq!(session.status(), SuspensionStatus::Suspended);
    }

    #[test]
    fn every_order_of_delivery_gives_the_same_status() {
        let steps: [(bool, u32, u64); 5] =
            [(true, 10, 100), (false, 20, 150), (true, 15, 120), (true, 30, 90), (false, 40, 400)];
        let mut ends = Vec::new();
        permute(&mut steps.to_vec(), 0, &mut |order| {
            let mut session = Suspensions::default();
            // Each one is delivered twice.
            for (suspends, occurred, ms) in order.iter().chain(order.iter()) {
                if *suspends {
                    session.suspend(at(*occurred), decided(*ms));
                } else {
                    session.resume(at(*occurred), decided(*ms));
                }
            }
            ends.push(session.status());
        });
        assert_eq!(ends.len(), 120);
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        assert_eq!(ends[0], denied_up_to(at(30)));
    }

    fn permute<T: Copy>(items: &mut Vec<T>, from: usize, visit: &mut impl FnMut(&[T])) {
        if from == items.len() {
            visit(items);
        }
        for other in from..items.len() {
            items.swap(from, other);
            permute(items, from + 1, visit);
            items.swap(from, other);
        }
    }
}
