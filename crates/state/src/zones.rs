//! What is known of each zone: its delegation graph epoch, and the generations of its keys and
//! its policy.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// A zone as it stands now.
///
/// A generation is a number that moves whenever what was cached under it became stale; compare
/// it with the one noted when the cached value was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZoneView {
    /// The delegation graph epoch; tokens made at an earlier one (above 0) are stale.
    pub delegation_epoch: u64,
    /// The highest epoch at which delegations ended; creations alone do not move it.
    pub delegation_ended_epoch: u64,
    /// The generation of the zone's keys.
    pub keys_generation: u64,
    /// The generation of the zone's policy.
    pub policy_generation: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Zones(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    zones: HashMap<Box<str>, ZoneView>,
    /// Generations that every zone shares, also those that nothing was said of yet.
    all_keys: u64,
    all_policies: u64,
}

impl Zones {
    pub(crate) fn view(&self, zone: &str) -> ZoneView {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let own = known.zones.get(zone).copied().unwrap_or_default();
        ZoneView {
            keys_generation: own.keys_generation + known.all_keys,
            policy_generation: own.policy_generation + known.all_policies,
            ..own
        }
    }

    /// Monotone: an epoch that arrives late changes nothing.
    pub(crate) fn raise_epoch(&self, zone: &str, epoch: u64, ended: bool) {
        self.change(zone, |view| {
            view.delegation_epoch = view.delegation_epoch.max(epoch);
            if ended {
                view.delegation_ended_epoch = view.delegation_ended_epoch.max(epoch);
            }
        });
    }

    pub(crate) fn forget_keys(&self, zone: &str) {
        self.change(zone, |view| view.keys_generation += 1);
    }

    pub(crate) fn reload_policy(&self, zone: &str) {
        self.change(zone, |view| view.policy_generation += 1);
    }

    pub(crate) fn forget_all_keys(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).all_keys += 1;
    }

    pub(crate) fn reload_all_policies(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).all_policies += 1;
    }

    fn change(&self, zone: &str, change: impl FnOnce(&mut ZoneView)) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = known.zones.get_mut(zone) {
            change(view);
        } else {
            change(known.zones.entry(zone.into()).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_never_goes_down() {
        let zones = Zones::default();
        zones.raise_epoch("z", 7, true);
        zones.raise_epoch("z", 9, false);
        zones.raise_epoch("z", 3, true);
        let view = zones.view("z");
        assert_eq!((view.delegation_epoch, view.delegation_ended_epoch), (9, 7));
        assert_eq!(zones.view("other").delegation_epoch, 0);
    }

    #[test]
    fn a_hole_makes_the_keys_of_unheard_zones_stale_too() {
        let zones = Zones::default();
        let before = zones.view("unheard").keys_generation;
        zones.forget_all_keys();
        assert_ne!(zones.view("unheard").keys_generation, before);
    }
}
