//! The zones: each one's delegation graph epoch, and the generations of its keys and its policy.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use caracal_revocation_event::DecidedAt;
use tokio::sync::watch;

use crate::clock::Moment;

/// The current epochs and generations of a zone.
///
/// A generation changes whenever values cached under it become stale. Store it with a cached value,
/// and compare it on each use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZoneView {
    /// The delegation graph epoch; tokens issued at an earlier one (above 0) are stale.
    pub delegation_epoch: u64,
    /// The highest epoch at which delegations ended; creations alone do not move it.
    pub delegation_ended_epoch: u64,
    /// The generation of the zone's keys.
    pub keys_generation: u64,
    /// The generation of the zone's policy.
    pub policy_generation: u64,
}

/// The latest invalidation of a zone's policy, to compare with the loaded policy.
///
/// ```
/// use caracal_revocation_state::{Options, RevocationsWriter};
/// let revocations = RevocationsWriter::new(Options::default());
/// let before = revocations.policy("z-1");
/// assert_eq!((before.generation, before.published), (0, None));
///
/// revocations.reload_all_policies();
/// assert_ne!(revocations.policy("z-1").generation, before.generation);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyInvalidation {
    /// The number of invalidations, as in [`ZoneView::policy_generation`].
    pub generation: u64,
    /// The version that should be in force, from the message that was decided last. `None` if that
    /// message names none, or if a later message may have been lost.
    pub version: Option<Arc<str>>,
    /// The time at which the latest invalidation was published, by this machine's clocks.
    pub published: Option<Moment>,
}

/// Wakes tasks that load policies: from [`Revocations::policy_changes`].
///
/// [`Revocations::policy_changes`]: crate::Revocations::policy_changes
#[derive(Clone, Debug)]
pub struct PolicyChanges(watch::Receiver<()>);

impl PolicyChanges {
    /// Waits until the policy of any zone was invalidated since the last call, or since this value
    /// was created. One wake-up may report several invalidations. Never returns once the state
    /// is dropped.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A zone's id, its epoch, and the highest epoch at which delegations ended.
pub(crate) type ZoneImage = (Box<str>, u64, u64);

#[derive(Debug, Default)]
pub(crate) struct Zones {
    known: RwLock<ZoneTable>,
    policies: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct ZoneTable {
    zones: HashMap<Box<str>, ZoneView>,
    policies: HashMap<Box<str>, AnnouncedPolicy>,
    /// The number of invalidations of the keys of all zones at once. It adds to the generation of
    /// each zone, also without an entry in the maps.
    all_keys: u64,
    all_policies: u64,
    /// The time at which the policies of all zones were last invalidated together.
    all_policies_published: Option<Moment>,
}

/// A zone's policy, as its messages describe it.
#[derive(Debug)]
struct AnnouncedPolicy {
    version: Option<Arc<str>>,
    decided: Option<DecidedAt>,
    /// The value of `all_policies` when `version` was set. If it has changed since, a message that
    /// names another version may have been lost.
    version_at: u64,
    published: Moment,
    /// The value of `all_policies` at the newest message, of any version.
    published_at: u64,
}

impl Zones {
    pub(crate) fn view(&self, zone: &str) -> ZoneView {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let own = known.zones.get(zone).copied().unwrap_or_default();
        ZoneView {
            keys_generation: own.keys_generation + known.all_keys,
            policy_generation: own.policy_generation + known.all_policies,
            ..own
        }
    }

    /// Raises the zone's epoch; a lower one changes nothing. Returns `true` if one of its epochs
    /// rose.
    pub(crate) fn raise_epoch(&self, zone: &str, epoch: u64, ended: bool) -> bool {
        let mut rises = false;
        self.change(zone, |view| {
            let before = *view;
            view.delegation_epoch = view.delegation_epoch.max(epoch);
            if ended {
                view.delegation_ended_epoch = view.delegation_ended_epoch.max(epoch);
            }
            rises = *view != before;
        });
        rises
    }

    /// Returns the epochs of all zones.
    pub(crate) fn export(&self) -> Vec<ZoneImage> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let zones = known.zones.iter();
        zones
            .map(|(zone, view)| (zone.clone(), view.delegation_epoch, view.delegation_ended_epoch))
            .collect()
    }

    pub(crate) fn forget_keys(&self, zone: &str) {
        self.change(zone, |view| view.keys_generation += 1);
    }

    pub(crate) fn policy(&self, zone: &str) -> PolicyInvalidation {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let own = known.zones.get(zone).map_or(0, |view| view.policy_generation);
        let announced = known.policies.get(zone);
        let generation = own + known.all_policies;
        let all = known.all_policies_published;
        PolicyInvalidation {
            generation,
            version: announced
                .filter(|announced| announced.version_at == known.all_policies)
                .and_then(|announced| announced.version.clone()),
            published: announced
                .filter(|announced| announced.published_at == known.all_policies)
                .map_or(all, |announced| Some(announced.published)),
        }
    }

    /// Invalidates the zone's policy. The expected version is that of the message that was decided
    /// last; a message that was decided earlier still invalidates.
    pub(crate) fn reload_policy(
        &self,
        zone: &str,
        version: Option<&str>,
        decided: Option<DecidedAt>,
        published: Moment,
    ) {
        // rule: policy-follows-generation
        // One lock: a reader that sees the new generation also sees its version.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.change(zone, |view| view.policy_generation += 1);
        let all = known.all_policies;
        let version: Option<Arc<str>> = version.map(Arc::from);
        if let Some(announced) = known.policies.get_mut(zone) {
            (announced.published, announced.published_at) = (published, all);
            if decided >= announced.decided {
                (announced.version, announced.decided, announced.version_at) =
                    (version, decided, all);
            }
        } else {
            let announced =
                AnnouncedPolicy { version, decided, version_at: all, published, published_at: all };
            known.policies.insert(zone.into(), announced);
        }
        drop(known);
        self.policies.send_replace(());
    }

    pub(crate) fn forget_all_keys(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).all_keys += 1;
    }

    pub(crate) fn reload_all_policies(&self, now: Moment) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.all_policies += 1;
        known.all_policies_published = Some(now);
        drop(known);
        self.policies.send_replace(());
    }

    pub(crate) fn policy_changes(&self) -> PolicyChanges {
        PolicyChanges(self.policies.subscribe())
    }

    fn change(&self, zone: &str, change: impl FnOnce(&mut ZoneView)) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).change(zone, change);
    }
}

impl ZoneTable {
    fn change(&mut self, zone: &str, change: impl FnOnce(&mut ZoneView)) {
        if let Some(view) = self.zones.get_mut(zone) {
            change(view);
        } else {
            change(self.zones.entry(zone.into()).or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_never_decreases() {
        let zones = Zones::default();
        zones.raise_epoch("z", 7, true);
        zones.raise_epoch("z", 9, false);
        zones.raise_epoch("z", 3, true);
        let view = zones.view("z");
        assert_eq!((view.delegation_epoch, view.delegation_ended_epoch), (9, 7));
        assert_eq!(zones.view("other").delegation_epoch, 0);
    }

    #[test]
    fn each_invalidation_of_keys_counts() {
        let zones = Zones::default();
        zones.forget_keys("z");
        zones.forget_all_keys();
        zones.forget_keys("z");
        let generation = |zone| zones.view(zone).keys_generation;
        assert_eq!((generation("z"), generation("other")), (3, 1));
    }

    #[test]
    fn gap_makes_keys_of_unknown_zones_stale() {
        let zones = Zones::default();
        let before = zones.view("unheard").keys_generation;
        zones.forget_all_keys();
        assert_ne!(zones.view("unheard").keys_generation, before);
    }

    fn at(seconds: u64) -> Moment {
        let since = std::time::Duration::from_secs(seconds);
        Moment { monotonic: since, wall: since }
    }

    fn decided(millis: u64) -> Option<DecidedAt> {
        let id = format!("{:08x}-{:04x}-7000-8000-000000000000", millis >> 16, millis & 0xffff);
        DecidedAt::from_outbox_id(&id)
    }

    #[test]
    fn expects_version_decided_last_in_any_order() {
        let zones = Zones::default();
        assert_eq!(zones.policy("z"), PolicyInvalidation::default());
        zones.reload_policy("z", Some("v2"), decided(20), at(1));
        zones.reload_policy("z", Some("v1"), decided(10), at(2));
        zones.reload_policy("z", Some("v0"), None, at(3));
        let policy = zones.policy("z");
        assert_eq!((policy.generation, policy.version.as_deref()), (3, Some("v2")));
        assert_eq!(policy.published, Some(at(3)));
        zones.reload_policy("z", None, decided(30), at(4));
        assert_eq!(zones.policy("z").version, None);
    }

    #[test]
    fn gap_clears_expected_version_until_a_later_message() {
        let zones = Zones::default();
        zones.reload_policy("z", Some("v2"), decided(20), at(1));
        zones.reload_all_policies(at(5));
        let policy = zones.policy("z");
        assert_eq!((policy.generation, policy.version, policy.published), (2, None, Some(at(5))));
        zones.reload_policy("z", Some("v1"), decided(10), at(6));
        assert_eq!(zones.policy("z").version, None, "v2 may have been replaced in between");
        assert_eq!(zones.policy("z").published, Some(at(6)));
        zones.reload_policy("z", Some("v3"), decided(30), at(7));
        assert_eq!(zones.policy("z").version.as_deref(), Some("v3"));
        assert_eq!(zones.policy("z").generation, zones.view("z").policy_generation);
    }
}
