//! The decision on a token: reads the state in a fixed order and derives the verdict.

use crate::anchors::AnchorLookup;
use crate::claims::Claims;
use crate::clock::{Moment, UnixSeconds};
use crate::freshness::NotReady;
use crate::index::Index;
use crate::lifetime::{self, Lifetime};
use crate::staleness::{Bound, Staleness};
use crate::state::State;
use crate::verdict::{Checks, Facts, Verdict, verdict};

/// A token to decide on: its claims as text, or the digests of its anchors.
pub(crate) trait Subject {
    /// Returns `true` if the index may hold one of its anchors. Looks up all of them, so that no
    /// lookup waits for the result of the previous one.
    fn may_be_held(&self, index: &Index, with_chain: bool) -> bool;
    /// Looks up its anchors in the index.
    fn find(&self, index: &Index, with_chain: bool) -> AnchorLookup;
    /// Returns `true` if the subject names an authority record.
    fn names_record(&self) -> bool;
    fn zone(&self) -> Option<&str>;
    fn epoch(&self) -> u64;
    fn iat(&self) -> UnixSeconds;
    fn exp(&self) -> UnixSeconds;
    /// Returns the time during which it may be used.
    fn lifetime(&self) -> Lifetime;
    fn is_in_tables(&self) -> bool;
    fn has_earlier_hops(&self) -> bool;
}

/// The parts of the state that are read before the index.
struct Seen {
    staleness: Result<Staleness, NotReady>,
    is_full: bool,
    epoch_is_stale: bool,
}

impl State {
    #[inline]
    pub(crate) fn decide_on(
        &self,
        subject: &impl Subject,
        checks: &Checks,
        now: Moment,
    ) -> Verdict {
        // The completeness of the view is read before its entries. A follower that applies a
        // revocation and then confirms, in between, must not make an earlier lookup look fresh.
        // Each load acquires what the follower released, so the lookups see at least as much.
        let staleness = self.freshness.staleness_at(now);
        let is_full = self.index.is_full();
        let has_horizon = self.horizon.is_any(now);
        let epoch_is_stale = self.epoch_is_stale(subject.zone(), subject.epoch(), checks);
        let may_be_held = subject.may_be_held(&self.index, checks.chain);
        let is_out_of_time = checks.lifetime && !subject.lifetime().holds(now);
        // Fast path: nothing matches, the view is fresh, no horizon is set.
        if let Ok(staleness) = staleness
            && !(may_be_held | is_full | has_horizon | epoch_is_stale | is_out_of_time)
            && !staleness.exceeds(self.bound(checks))
        {
            return Verdict::plainly_admitted(staleness);
        }
        self.decide_slow(subject, &Seen { staleness, is_full, epoch_is_stale }, checks, now)
    }

    /// Decides on a token that the fast path did not admit: looks up its anchors in the table. Not
    /// inlined, so that the fast path stays small.
    #[inline(never)]
    fn decide_slow(
        &self,
        subject: &impl Subject,
        seen: &Seen,
        checks: &Checks,
        now: Moment,
    ) -> Verdict {
        // The same order again. The values in `seen` were read earlier, so they promise no more
        // than these lookups see.
        let horizons = self.horizon.heights(now);
        let found = subject.find(&self.index, checks.chain);
        let is_decidable = !found.resumed && subject.is_in_tables();
        let horizon = horizons.second(is_decidable).filter(|_| checks.horizon);
        verdict(&Facts {
            mark: found.strongest,
            iat: subject.iat(),
            out_of_time: checks
                .lifetime
                .then(|| lifetime::fault(subject.iat(), subject.exp(), now))
                .flatten(),
            epoch_is_stale: seen.epoch_is_stale,
            staleness: seen.staleness,
            is_full: seen.is_full,
            bound: self.bound(checks),
            horizon: horizon.map(|second| self.options.height(second, subject.has_earlier_hops())),
            fail_open: checks.fail_open_unknown,
        })
    }

    /// Returns the bound on staleness: the smaller one of the state's and the checks'.
    #[inline]
    pub(crate) fn bound(&self, checks: &Checks) -> Bound {
        checks.deny_after.map_or(self.deny_after, |own| self.deny_after.min(Bound::new(own)))
    }

    #[inline]
    pub(crate) fn epoch_is_stale(&self, zone: Option<&str>, epoch: u64, checks: &Checks) -> bool {
        checks.delegation_epoch
            && epoch > 0
            && zone.map(|zone| self.zones.view(zone)).is_some_and(|zone| {
                let current = if checks.ended_delegations_only {
                    zone.delegation_ended_epoch
                } else {
                    zone.delegation_epoch
                };
                current > epoch
            })
    }
}

impl<S: AsRef<str>> Subject for Claims<S> {
    #[inline]
    fn may_be_held(&self, index: &Index, with_chain: bool) -> bool {
        let held = index.view(|view| {
            let digester = view.digester();
            self.any_anchor(with_chain, |id| view.may_hold(digester.fast(id)))
        });
        held.unwrap_or(false)
    }

    fn find(&self, index: &Index, with_chain: bool) -> AnchorLookup {
        let found = index.view(|view| {
            AnchorLookup::search(self.anchors(with_chain), |id| view.mark(id), self.iat())
        });
        found.unwrap_or_default()
    }

    fn names_record(&self) -> bool {
        !self.sid.as_ref().is_empty()
    }

    fn zone(&self) -> Option<&str> {
        self.zone_id.as_ref().map(AsRef::as_ref)
    }

    fn epoch(&self) -> u64 {
        self.delegation_graph_epoch
    }

    fn iat(&self) -> UnixSeconds {
        UnixSeconds::new(self.iat)
    }

    fn exp(&self) -> UnixSeconds {
        UnixSeconds::new(self.exp)
    }

    #[inline]
    fn lifetime(&self) -> Lifetime {
        Lifetime::of(self.iat(), self.exp())
    }

    fn is_in_tables(&self) -> bool {
        Self::is_in_tables(self)
    }

    fn has_earlier_hops(&self) -> bool {
        Self::has_earlier_hops(self)
    }
}
