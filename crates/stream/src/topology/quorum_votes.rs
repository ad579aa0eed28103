//! Quorum vote counting: which address a majority reports as primary. No I/O.

use std::time::Duration;

use caracal_revocation_state::Moment;

use super::address::Address;

/// The time of a vote that is counted at once, so that its age does not matter.
pub(super) const AT_ONCE: Moment = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };

/// The last answer of one voter: a sentinel, or a master of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    /// The time at which the voter was asked.
    pub(crate) queried_at: Moment,
    pub(crate) primary: Address,
    /// The epoch of the voter's configuration: each failover has a higher one.
    pub(crate) epoch: u64,
    /// `true` if the voter marks that primary as down. Such a vote names the primary, but does not
    /// confirm it.
    pub(crate) is_down: bool,
}

/// The last vote of each voter.
#[derive(Debug)]
pub(crate) struct QuorumVotes {
    votes: Vec<Option<Vote>>,
    /// The primary that a majority last confirmed, and the time up to which it did.
    confirmed: Option<(Address, Moment)>,
}

impl QuorumVotes {
    pub(crate) fn of(voters: usize) -> Self {
        Self { votes: vec![None; voters], confirmed: None }
    }

    /// Restarts with this number of voters, which are not the same as before.
    pub(crate) fn expect(&mut self, voters: usize) {
        self.votes = vec![None; voters];
    }

    /// Records the vote of one voter, or `None` if it did not answer.
    pub(crate) fn take(&mut self, voter: usize, vote: Option<Vote>) {
        let Some(place) = self.votes.get_mut(voter) else { return };
        *place = vote;
        let confirmed = self.named().and_then(|primary| {
            let queried_at = self.agreed(primary)?;
            Some((primary.clone(), queried_at))
        });
        let newer = |(primary, queried_at): &(Address, Moment)| {
            self.confirmed.as_ref().is_none_or(|(before, earlier)| {
                before != primary || earlier.monotonic < queried_at.monotonic
            })
        };
        if let Some(confirmed) = confirmed.filter(newer) {
            self.confirmed = Some(confirmed);
        }
    }

    /// Returns the primary of the newest configuration among the votes. A voter with an older
    /// configuration does not know of the failover yet.
    pub(crate) fn named(&self) -> Option<&Address> {
        let votes = self.votes.iter().flatten();
        votes.max_by_key(|vote| (vote.epoch, self.count(&vote.primary))).map(|vote| &vote.primary)
    }

    /// Returns `true` if a majority names the primary of the newest configuration.
    pub(crate) fn is_decided(&self) -> bool {
        self.named().is_some_and(|primary| self.count(primary) >= self.majority())
    }

    /// Returns the last moment at which a majority of all voters confirmed this primary, while no
    /// vote had a newer configuration.
    pub(crate) fn confirmed(&self, primary: &Address) -> Option<Moment> {
        self.confirmed
            .as_ref()
            .filter(|(named, _)| named == primary)
            .map(|(_, queried_at)| *queried_at)
    }

    /// Returns the moment up to which the current votes confirm this primary, if they are a
    /// majority.
    fn agreed(&self, primary: &Address) -> Option<Moment> {
        let confirms = |vote: &&Vote| vote.primary == *primary && !vote.is_down;
        let votes = self.votes.iter().flatten().filter(confirms);
        let mut queried_at: Vec<Moment> = votes.map(|vote| vote.queried_at).collect();
        queried_at.sort_unstable_by_key(|queried_at| std::cmp::Reverse(queried_at.monotonic));
        queried_at.get(self.majority() - 1).copied()
    }

    fn count(&self, primary: &Address) -> usize {
        self.votes.iter().flatten().filter(|vote| vote.primary == *primary).count()
    }

    fn majority(&self) -> usize {
        self.votes.len() / 2 + 1
    }
}

/// Returns the earlier of two moments, or `None` if one is unknown.
pub(crate) fn capped(as_of: Option<Moment>, confirmed: Option<Moment>) -> Option<Moment> {
    Some(as_of?.earlier_of(confirmed?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    fn host(name: &str) -> Address {
        Address { host: name.into(), port: 6379 }
    }

    fn vote_for(second: u64, primary: &str, epoch: u64) -> Option<Vote> {
        Some(Vote { queried_at: at(second), primary: host(primary), epoch, is_down: false })
    }

    fn holds_down(second: u64, primary: &str, epoch: u64) -> Option<Vote> {
        vote_for(second, primary, epoch).map(|vote| Vote { is_down: true, ..vote })
    }

    #[test]
    fn vote_for_primary_that_is_down_confirms_nothing() {
        let mut votes = QuorumVotes::of(3);
        votes.take(0, vote_for(1, "a", 4));
        votes.take(1, holds_down(2, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), None);
        assert_eq!((votes.named(), votes.is_decided()), (Some(&host("a")), true));
        votes.take(2, vote_for(3, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(1)));
        // It still knows of the failover.
        votes.take(1, holds_down(4, "b", 5));
        assert_eq!(votes.named(), Some(&host("b")));
    }

    #[test]
    fn primary_is_confirmed_as_of_the_deciding_question() {
        let mut votes = QuorumVotes::of(3);
        assert_eq!((votes.named(), votes.is_decided()), (None, false));
        votes.take(0, vote_for(1, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), None, "one of three");
        votes.take(1, vote_for(3, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(1)));
        votes.take(2, vote_for(2, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(2)));
        assert!(votes.is_decided());
        assert_eq!(votes.confirmed(&host("b")), None);
    }

    #[test]
    fn a_minority_confirms_nothing_more() {
        let mut votes = QuorumVotes::of(3);
        (0..3).for_each(|voter| votes.take(voter, vote_for(1, "a", 4)));
        votes.take(1, None);
        votes.take(0, vote_for(5, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(1)), "two answered: asked at 1 and 5");
        votes.take(2, None);
        votes.take(0, vote_for(9, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(1)));
        assert_eq!(votes.named(), Some(&host("a")), "the newest known primary");
        assert!(!votes.is_decided());
    }

    #[test]
    fn newer_epoch_outweighs_majority_with_older_epoch() {
        let mut votes = QuorumVotes::of(3);
        (0..3).for_each(|voter| votes.take(voter, vote_for(1, "a", 4)));
        votes.take(2, vote_for(2, "b", 5));
        assert_eq!(votes.named(), Some(&host("b")));
        votes.take(0, vote_for(3, "a", 4));
        votes.take(1, vote_for(3, "a", 4));
        assert_eq!(votes.confirmed(&host("a")), Some(at(1)), "not after a vote with a newer epoch");
        assert_eq!(votes.confirmed(&host("b")), None);
        votes.take(0, vote_for(4, "b", 5));
        assert_eq!(votes.confirmed(&host("b")), Some(at(2)));
        assert_eq!(votes.confirmed(&host("a")), None);
    }

    #[test]
    fn outdated_voter_does_not_block_confirmation() {
        let mut votes = QuorumVotes::of(3);
        votes.take(0, vote_for(1, "old", 3));
        votes.take(1, vote_for(2, "a", 4));
        votes.take(2, vote_for(3, "a", 4));
        assert_eq!(votes.named(), Some(&host("a")));
        assert_eq!(votes.confirmed(&host("a")), Some(at(2)));
    }

    #[test]
    fn caps_answer_at_confirmation() {
        assert_eq!(capped(Some(at(5)), Some(at(3))), Some(at(3)));
        assert_eq!(capped(Some(at(5)), Some(at(7))), Some(at(5)));
        assert_eq!(capped(Some(at(5)), None), None);
        assert_eq!(capped(None, Some(at(7))), None);
    }

    #[test]
    fn caps_each_clock_after_wall_clock_was_set_back() {
        let before = at(100);
        let after = Moment { monotonic: Duration::from_secs(101), ..at(50) };
        let earlier = Moment { monotonic: Duration::from_secs(100), ..at(50) };
        assert_eq!(capped(Some(before), Some(after)), Some(earlier));
    }
}
