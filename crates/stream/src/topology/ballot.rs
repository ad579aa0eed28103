//! Who the primary is, as those say who know: a pure count of votes.

use caracal_revocation_state::Moment;

use super::Address;

/// What one of them last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    /// When it was asked.
    pub(crate) asked: Moment,
    pub(crate) primary: Address,
    /// The configuration that it speaks of: each failover has a higher one.
    pub(crate) epoch: u64,
    /// `true` if it holds that primary as down: it names it, and confirms nothing.
    pub(crate) is_down: bool,
}

/// The votes of all who were configured, or who there are.
#[derive(Debug)]
pub(crate) struct Ballot {
    votes: Vec<Option<Vote>>,
    /// The primary that a majority last named, and up to when.
    confirmed: Option<(Address, Moment)>,
}

impl Ballot {
    pub(crate) fn of(voters: usize) -> Self {
        Self { votes: vec![None; voters], confirmed: None }
    }

    /// From now on so many have a vote, and they are others than before.
    pub(crate) fn expect(&mut self, voters: usize) {
        self.votes = vec![None; voters];
    }

    /// Takes in what one of them says now; nothing, if it did not answer.
    pub(crate) fn take(&mut self, voter: usize, vote: Option<Vote>) {
        let Some(place) = self.votes.get_mut(voter) else { return };
        *place = vote;
        let confirmed = self.named().and_then(|primary| {
            let asked = self.agreed(primary)?;
            Some((primary.clone(), asked))
        });
        let newer = |(primary, asked): &(Address, Moment)| {
            self.confirmed.as_ref().is_none_or(|(before, earlier)| {
                before != primary || earlier.monotonic < asked.monotonic
            })
        };
        if let Some(confirmed) = confirmed.filter(newer) {
            self.confirmed = Some(confirmed);
        }
    }

    /// The primary of the newest configuration that any of them tells of: who tells of an older
    /// one has not heard of the failover yet.
    pub(crate) fn named(&self) -> Option<&Address> {
        let votes = self.votes.iter().flatten();
        votes.max_by_key(|vote| (vote.epoch, self.count(&vote.primary))).map(|vote| &vote.primary)
    }

    /// Whether a majority names the primary of the newest configuration.
    pub(crate) fn is_decided(&self) -> bool {
        self.named().is_some_and(|primary| self.count(primary) >= self.majority())
    }

    /// The last moment as of which a majority of all said that this is the primary, and none knew
    /// better.
    pub(crate) fn confirmed(&self, primary: &Address) -> Option<Moment> {
        self.confirmed.as_ref().filter(|(named, _)| named == primary).map(|(_, asked)| *asked)
    }

    /// The moment up to which a majority answers now that this is the primary.
    fn agreed(&self, primary: &Address) -> Option<Moment> {
        let confirms = |vote: &&Vote| vote.primary == *primary && !vote.is_down;
        let votes = self.votes.iter().flatten().filter(confirms);
        let mut asked: Vec<Moment> = votes.map(|vote| vote.asked).collect();
        asked.sort_unstable_by_key(|asked| std::cmp::Reverse(asked.monotonic));
        asked.get(self.majority() - 1).copied()
    }

    fn count(&self, primary: &Address) -> usize {
        self.votes.iter().flatten().filter(|vote| vote.primary == *primary).count()
    }

    fn majority(&self) -> usize {
        self.votes.len() / 2 + 1
    }
}

/// The earlier of two moments, if both are known.
pub(crate) fn capped(as_of: Option<Moment>, confirmed: Option<Moment>) -> Option<Moment> {
    Some(as_of?.earlier_of(confirmed?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
    }

    fn host(name: &str) -> Address {
        Address { host: name.into(), port: 6379 }
    }

    fn says(second: u64, primary: &str, epoch: u64) -> Option<Vote> {
        Some(Vote { asked: at(second), primary: host(primary), epoch, is_down: false })
    }

    fn holds_down(second: u64, primary: &str, epoch: u64) -> Option<Vote> {
        says(second, primary, epoch).map(|vote| Vote { is_down: true, ..vote })
    }

    #[test]
    fn one_that_holds_the_primary_down_confirms_nothing() {
        let mut ballot = Ballot::of(3);
        ballot.take(0, says(1, "a", 4));
        ballot.take(1, holds_down(2, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), None);
        assert_eq!((ballot.named(), ballot.is_decided()), (Some(&host("a")), true));
        ballot.take(2, says(3, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(1)));
        // It knows of the failover all the same.
        ballot.take(1, holds_down(4, "b", 5));
        assert_eq!(ballot.named(), Some(&host("b")));
    }

    #[test]
    fn a_primary_is_confirmed_as_of_the_question_that_made_the_majority() {
        let mut ballot = Ballot::of(3);
        assert_eq!((ballot.named(), ballot.is_decided()), (None, false));
        ballot.take(0, says(1, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), None, "one of three");
        ballot.take(1, says(3, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(1)));
        ballot.take(2, says(2, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(2)));
        assert!(ballot.is_decided());
        assert_eq!(ballot.confirmed(&host("b")), None);
    }

    #[test]
    fn a_minority_confirms_nothing_more() {
        let mut ballot = Ballot::of(3);
        (0..3).for_each(|voter| ballot.take(voter, says(1, "a", 4)));
        ballot.take(1, None);
        ballot.take(0, says(5, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(1)), "two answered: asked at 1 and 5");
        ballot.take(2, None);
        ballot.take(0, says(9, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(1)));
        assert_eq!(ballot.named(), Some(&host("a")), "it is the best that is known");
        assert!(!ballot.is_decided());
    }

    #[test]
    fn who_knows_of_a_failover_outweighs_those_that_have_not_heard() {
        let mut ballot = Ballot::of(3);
        (0..3).for_each(|voter| ballot.take(voter, says(1, "a", 4)));
        ballot.take(2, says(2, "b", 5));
        assert_eq!(ballot.named(), Some(&host("b")));
        ballot.take(0, says(3, "a", 4));
        ballot.take(1, says(3, "a", 4));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(1)), "not since one knew better");
        assert_eq!(ballot.confirmed(&host("b")), None);
        ballot.take(0, says(4, "b", 5));
        assert_eq!(ballot.confirmed(&host("b")), Some(at(2)));
        assert_eq!(ballot.confirmed(&host("a")), None);
    }

    #[test]
    fn one_that_is_behind_for_good_holds_up_nothing() {
        let mut ballot = Ballot::of(3);
        ballot.take(0, says(1, "old", 3));
        ballot.take(1, says(2, "a", 4));
        ballot.take(2, says(3, "a", 4));
        assert_eq!(ballot.named(), Some(&host("a")));
        assert_eq!(ballot.confirmed(&host("a")), Some(at(2)));
    }

    #[test]
    fn an_answer_holds_no_longer_than_its_confirmation() {
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
