//! The zones in use, each with its loading task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::limits::GAUGE_INTERVAL;
use crate::loader::{LoaderContext, keep_current};
use crate::metrics::Metrics;
use crate::policy_state::LoadedPolicy;
use crate::zone::Zone;
use crate::{PolicyUnavailable, ZoneStatus};

/// Owns the zones. Dropping it ends their tasks.
pub(crate) struct ZonesOwner {
    pub(crate) zones: Arc<Zones>,
    /// A channel whose end ends the tasks. It is dropped with the owner.
    alive: watch::Sender<()>,
}

/// The zones in use, shared by requests and tasks.
pub(crate) struct Zones {
    pub(crate) context: LoaderContext,
    by_name: ArcSwap<HashMap<Arc<str>, Arc<Zone>>>,
    /// The lock for changing the map. The value is `true` once a task reports the ages.
    joining: Mutex<bool>,
}

impl ZonesOwner {
    /// Creates an owner without zones.
    pub(crate) fn new(context: LoaderContext) -> Self {
        let zones = Zones { context, by_name: ArcSwap::default(), joining: Mutex::new(false) };
        Self { zones: Arc::new(zones), alive: watch::Sender::new(()) }
    }

    /// Returns the zone. Adds it on its first request.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn zone(&self, name: &str) -> Result<Arc<Zone>, PolicyUnavailable> {
        let all = &self.zones;
        let now = all.context.revocations.now();
        if let Some(zone) = all.by_name.load().get(name) {
            zone.touch(now);
            return Ok(Arc::clone(zone));
        }
        let mut is_reporting = all.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let zones = all.by_name.load_full();
        if let Some(zone) = zones.get(name) {
            return Ok(Arc::clone(zone));
        }
        if zones.len() >= all.context.options.max_zones {
            return Err(PolicyUnavailable::TooManyZones);
        }
        let zone = Arc::new(Zone::new(name, now));
        let mut more = HashMap::clone(&zones);
        more.insert(Arc::clone(&zone.name), Arc::clone(&zone));
        all.by_name.store(Arc::new(more));
        self.spawn(Arc::clone(all).run_loader(Arc::clone(&zone)));
        if !std::mem::replace(&mut *is_reporting, true) {
            self.spawn(Arc::clone(all).report_ages());
        }
        Ok(zone)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut alive = self.alive.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                _ = alive.changed() => {}
                () = task => {}
            }
        });
    }
}

impl Zones {
    /// Returns the zone's policy, if it may be used now.
    pub(crate) fn usable(&self, zone: &Zone) -> Result<Arc<LoadedPolicy>, PolicyUnavailable> {
        let invalidation = self.context.revocations.policy(&zone.name);
        let now = self.context.revocations.now();
        zone.state.load().usable(&invalidation, now, &self.context.options).map(Arc::clone)
    }

    pub(crate) fn status(&self, zone: &Zone) -> ZoneStatus {
        let revocations = &self.context.revocations;
        let invalidation = revocations.policy(&zone.name);
        let state = zone.state.load();
        state.status(&zone.name, &invalidation, revocations.now(), &self.context.options)
    }

    /// Returns the status of the zone of this name, if it is in use.
    pub(crate) fn status_of(&self, name: &str) -> Option<ZoneStatus> {
        self.by_name.load().get(name).map(|zone| self.status(zone))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.load().len()
    }

    pub(crate) fn statuses(&self) -> Vec<ZoneStatus> {
        let mut statuses: Vec<_> =
            self.by_name.load().values().map(|zone| self.status(zone)).collect();
        statuses.sort_by(|one, other| one.zone.cmp(&other.zone));
        statuses
    }

    /// Runs the zone's loading task, and removes the zone when the task ends.
    async fn run_loader(self: Arc<Self>, zone: Arc<Zone>) {
        keep_current(&zone, &self.context).await;
        let joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fewer = HashMap::clone(&self.by_name.load_full());
        fewer.remove(&zone.name);
        self.by_name.store(Arc::new(fewer));
        drop(joining);
        zone.close();
        Metrics::clear_zone(&zone.name);
    }

    async fn report_ages(self: Arc<Self>) {
        loop {
            self.context.metrics.ages(&self.statuses());
            tokio::time::sleep(GAUGE_INTERVAL).await;
        }
    }
}
