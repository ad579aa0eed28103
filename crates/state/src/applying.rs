//! Applies changes to the state: those of verified messages, and facts from a second source of
//! truth.

use std::time::Duration;

use caracal_revocation_event::{Change, DecidedAt, Event, OccurredAt};

use crate::clock::{Minute, Moment};
use crate::digest::Digest;
use crate::index::Mark;
use crate::state::State;
use crate::suspensions::Suspensions;
use crate::writer::RevocationsWriter;

/// One fact from a second source of truth, such as Postgres.
///
/// A fact only adds: none undoes a change that a message made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaselineFact<'a> {
    /// The authority record, session or delegation with this id is revoked for good.
    Revoked(&'a str),
    /// The session is suspended.
    Suspended {
        /// The session's id.
        session: &'a str,
        /// The time at which it was suspended; only a later resume lifts the suspension.
        occurred: OccurredAt,
        /// The time of the decision to suspend; if `None`, no resume lifts the suspension.
        decided: Option<DecidedAt>,
    },
    /// The session was suspended and has been resumed. Tokens issued up to the suspension stay
    /// denied, and the fact lifts no suspension.
    Resumed {
        /// The session's id.
        session: &'a str,
        /// The time of its last suspension.
        suspended: OccurredAt,
    },
    /// The zone's delegation graph has reached at least this epoch.
    Epoch {
        /// The zone's id.
        zone: &'a str,
        /// The epoch.
        epoch: u64,
        /// `true` if delegations ended at this epoch.
        ended: bool,
    },
}

impl RevocationsWriter {
    /// Applies the changes of a verified message. Order and repetition do not matter.
    ///
    /// The message counts as published when it was decided, or now if it carries no such time.
    pub fn apply(&self, event: &Event<'_>, now: Moment) {
        let decided = event.decided().map(|decided| Duration::from_millis(decided.as_millis()));
        self.apply_published(
            event,
            now.earlier_by(now.wall.saturating_sub(decided.unwrap_or(now.wall))),
            now,
        );
    }

    /// Applies a verified message that was published at `published`, by this machine's clocks.
    pub fn apply_published(&self, event: &Event<'_>, published: Moment, now: Moment) {
        let state = self.state();
        for change in event.changes() {
            match change {
                Change::Revoke(anchor) => self.revoke(anchor.as_str(), now),
                Change::Suspend(suspension) => {
                    let session = self.change(suspension.session.as_str(), now, |session| {
                        session.suspend(suspension.occurred, suspension.decided);
                    });
                    self.state().cut_without_room(session, Mark::Suspended);
                }
                Change::Resume(resumption) => {
                    self.change(resumption.session.as_str(), now, |session| {
                        session.resume(resumption.occurred, resumption.decided);
                    });
                }
                Change::DelegationEpoch(delegations) => {
                    for edge in &delegations.ended {
                        self.revoke(edge.as_str(), now);
                    }
                    self.raise_epoch(
                        delegations.zone.as_str(),
                        delegations.epoch,
                        delegations.narrows,
                        now,
                    );
                }
                Change::ForgetKeys(zone) => state.zones.forget_keys(zone.as_str()),
                Change::ReloadPolicy(reload) => {
                    let version = reload.version.as_deref();
                    let zone = reload.zone.as_str();
                    state.zones.reload_policy(zone, version, event.decided(), published);
                }
            }
        }
    }

    /// Adds a fact from a second source of truth. Order and repetition do not matter.
    pub fn add(&self, known: &BaselineFact<'_>, now: Moment) {
        match *known {
            BaselineFact::Revoked(anchor) => self.revoke(anchor, now),
            BaselineFact::Suspended { session, occurred, decided } => {
                let session =
                    self.change(session, now, |session| session.suspend(occurred, decided));
                self.state().cut_without_room(session, Mark::Suspended);
            }
            BaselineFact::Resumed { session, suspended } => {
                self.change(session, now, |session| session.ended(suspended));
            }
            BaselineFact::Epoch { zone, epoch, ended } => self.raise_epoch(zone, epoch, ended, now),
        }
    }

    // The three ways in which authority ends. Each one updates the state first and then cuts the
    // running requests, so a request that registers in between finds the update itself. A repeated
    // message changes nothing and searches for no requests, because any writer to the streams can
    // repeat one.

    fn revoke(&self, anchor: &str, now: Moment) {
        let State { index, recent, freshness, .. } = &**self.state();
        let anchor = index.digest(anchor);
        let is_new = index.revoke(anchor, self.expires(now));
        // A replayed revocation took effect long before this process read it.
        if is_new && freshness.staleness(now).is_ok() {
            recent.applied(anchor.fast(), now.monotonic);
        }
        if is_new {
            self.state().cut_on_anchor(anchor, now);
        }
        self.state().cut_without_room(anchor, Mark::Revoked);
    }

    /// Changes the suspensions of a session. Returns the session's digest.
    fn change(&self, session: &str, now: Moment, change: impl FnOnce(&mut Suspensions)) -> Digest {
        let session = self.state().index.digest(session);
        if self.state().index.suspend(session, self.expires(now), change) {
            self.state().cut_on_anchor(session, now);
        }
        session
    }

    pub(crate) fn raise_epoch(&self, zone: &str, epoch: u64, ended: bool, now: Moment) {
        if self.state().zones.raise_epoch(zone, epoch, ended) {
            self.state().cut_below_epoch(zone, now);
        }
    }

    /// Returns the minute at which an entry that arrives now expires.
    fn expires(&self, now: Moment) -> Minute {
        Minute::of(now.monotonic.saturating_add(self.options().memory)).later_by(1)
    }
}
