//! The bookkeeping of one zone: which invalidations are in force, and which are still awaited.
//!
//! The ledger does no I/O. The loading task reports each invalidation and each loaded version with
//! its time, and the ledger returns the action to take. An invalidation is in force only once a
//! load that began after its receipt has brought the version that it names. An error changes
//! nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use caracal_revocation_state::{Moment, PolicyInvalidation};

use crate::limits::MAX_VERSIONS;

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Every invalidation up to this generation is in force. `None` before the first load.
    in_force: Option<u64>,
    /// The highest generation received.
    received: u64,
    /// The publication time of the oldest invalidation that is not in force.
    pending_since: Option<Moment>,
    /// The publication time of the oldest invalidation received since the current attempt began.
    received_since_begin: Option<Moment>,
    /// The start of the load that last confirmed the served policy as current.
    confirmed: Option<Moment>,
    current: Option<Version>,
    /// A bundle that does not compile: it is not tried again.
    broken: Option<Version>,
    /// Versions that a message named or a load brought, the newest last.
    seen: VecDeque<Arc<str>>,
    /// Versions that a version named in a message has replaced.
    replaced: VecDeque<Arc<str>>,
}

/// A version, the digest that its source set, and the digest that this process computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) version: Arc<str>,
    pub(crate) digest: Arc<str>,
    pub(crate) content: Arc<str>,
}

/// One attempt to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    generation: u64,
    /// `true` if an invalidation is pending.
    pending: bool,
    /// The version that the pending invalidation names.
    awaited: Option<Arc<str>>,
    started: Moment,
}

/// The action to take with a bundle that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadAction {
    /// No action: the bundle is already served.
    Same,
    /// Prepare the bundle, then serve it.
    New,
    /// No action: the bundle did not compile before.
    KnownBroken,
    /// No action: a message has replaced this version, so the source is behind.
    Older,
}

impl Attempt {
    pub(crate) fn awaited(&self) -> Option<&str> {
        self.awaited.as_deref()
    }

    fn is_answered(&self, answers: impl Fn(&str) -> bool) -> bool {
        self.awaited.as_deref().is_none_or(answers)
    }
}

impl Ledger {
    /// Records an invalidation. One without a publication time counts as published `now`.
    pub(crate) fn receive(&mut self, invalidation: &PolicyInvalidation, now: Moment) {
        if invalidation.generation <= self.received {
            return;
        }
        self.received = invalidation.generation;
        let published = invalidation.published.unwrap_or(now);
        self.pending_since.get_or_insert(published);
        self.received_since_begin.get_or_insert(published);
        if let Some(version) = &invalidation.version {
            remember(&mut self.seen, version);
        }
    }

    pub(crate) fn begin(&mut self, invalidation: &PolicyInvalidation, now: Moment) -> Attempt {
        self.receive(invalidation, now);
        self.received_since_begin = None;
        let pending = self.in_force.is_none_or(|in_force| in_force < invalidation.generation);
        let awaited = invalidation.version.clone().filter(|_| pending);
        Attempt { generation: invalidation.generation, pending, awaited, started: now }
    }

    pub(crate) fn action(
        &self,
        attempt: &Attempt,
        loaded: &Version,
        answers: impl Fn(&str) -> bool,
    ) -> LoadAction {
        let is_awaited = attempt.pending && attempt.is_answered(answers);
        if !is_awaited && self.replaced.contains(&loaded.version) {
            LoadAction::Older
        } else if self.current.as_ref() == Some(loaded) {
            LoadAction::Same
        } else if self.broken.as_ref() == Some(loaded) {
            LoadAction::KnownBroken
        } else {
            LoadAction::New
        }
    }

    /// Records that the loaded version is served.
    pub(crate) fn install(
        &mut self,
        attempt: &Attempt,
        loaded: Version,
        answers: impl Fn(&str) -> bool,
    ) {
        remember(&mut self.seen, &loaded.version);
        let answered = attempt.is_answered(answers);
        if attempt.pending && answered {
            if attempt.awaited.is_some() {
                for older in self.seen.iter().filter(|seen| **seen != loaded.version) {
                    remember(&mut self.replaced, older);
                }
                self.replaced.retain(|older| *older != loaded.version);
            } else {
                // Messages may be lost, and a lost one may have named an older version.
                self.replaced.clear();
            }
        }
        self.current = Some(loaded);
        self.broken = None;
        self.settle(attempt, answered);
    }

    /// Records that the source returned no policy for the zone.
    pub(crate) fn install_none(&mut self, attempt: &Attempt) {
        self.current = None;
        self.broken = None;
        self.settle(attempt, attempt.awaited.is_none());
    }

    /// Records that the loaded version does not compile.
    pub(crate) fn mark_broken(&mut self, loaded: Version) {
        self.broken = Some(loaded);
    }

    fn settle(&mut self, attempt: &Attempt, answered: bool) {
        if answered {
            self.in_force = self.in_force.max(Some(attempt.generation));
            self.confirmed = Some(attempt.started);
            self.pending_since = self.received_since_begin;
        }
    }

    /// Returns `true` if every received invalidation is in force.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_force.is_some_and(|in_force| in_force >= self.received)
    }

    /// Returns `true` if the newest bundle does not compile. An error of the source does not change
    /// it.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    pub(crate) const fn in_force(&self) -> Option<u64> {
        self.in_force
    }

    pub(crate) const fn confirmed(&self) -> Option<Moment> {
        self.confirmed
    }

    pub(crate) const fn pending_since(&self) -> Option<Moment> {
        self.pending_since
    }
}

/// Moves the version to the end of the list, and drops the oldest beyond the limit.
fn remember(versions: &mut VecDeque<Arc<str>>, version: &Arc<str>) {
    versions.retain(|known| known != version);
    versions.push_back(Arc::clone(version));
    if versions.len() > MAX_VERSIONS {
        versions.pop_front();
    }
}

#[cfg(test)]
mod tests;
