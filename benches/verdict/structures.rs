//! The structures in which a service can keep revocations: this project's state, a locked map, and a
//! cache.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::RwLock;
use std::time::Instant;

use caracal_revocation::state::{Checks, Moment, Options, RevocationsWriter, Verdict};
use caracal_revocation::wire::{KeyRing, Message, Stream};
use caracal_revocation::{Authority, Claims};
use moka::sync::Cache;

use crate::MEMORY;

/// A structure that holds revoked ids.
pub(crate) trait Structure: Sync {
    fn name(&self) -> &'static str;
    fn insert(&self, ids: &[String]);
    /// Prepares a round, outside the measured time.
    fn prepare(&self) {}
    /// Returns the number of denied tokens, checked in this order.
    fn denied(&self, tokens: &[Token]) -> usize;
    /// Returns the memory in bytes, if the structure reports it.
    fn bytes(&self) -> usize {
        0
    }
}

/// A token, and the authority that the state computed from it.
pub(crate) struct Token {
    pub(crate) claims: Claims,
    pub(crate) authority: Authority,
}

/// This project's state with claims; `now` is read for each check, or once for many.
pub(crate) struct Ours {
    revocations: RevocationsWriter,
    reads_clock: bool,
}

impl Ours {
    pub(crate) fn new(reads_clock: bool) -> Self {
        Self { revocations: RevocationsWriter::new(Options::default()), reads_clock }
    }

    fn denies(&self, claims: &Claims, now: Moment) -> bool {
        let verdict = self.revocations.decide(black_box(claims), &Checks::default(), now);
        !matches!(black_box(verdict), Verdict::Admitted(_))
    }
}

impl Structure for Ours {
    fn name(&self) -> &'static str {
        if self.reads_clock { "ours, with the clock" } else { "ours" }
    }

    fn insert(&self, ids: &[String]) {
        revoke(&self.revocations, ids);
    }

    fn prepare(&self) {
        self.revocations.confirm(self.revocations.now());
    }

    fn denied(&self, tokens: &[Token]) -> usize {
        let once = self.revocations.now();
        let now = || if self.reads_clock { self.revocations.now_coarse() } else { once };
        tokens.iter().filter(|token| self.denies(&token.claims, now())).count()
    }

    fn bytes(&self) -> usize {
        self.revocations.bytes()
    }
}

/// This project's state with an authority computed when the token was verified.
pub(crate) struct OursKept(pub(crate) RevocationsWriter);

impl Structure for OursKept {
    fn name(&self) -> &'static str {
        "ours, an authority kept"
    }

    fn insert(&self, ids: &[String]) {
        revoke(&self.0, ids);
    }

    fn prepare(&self) {
        self.0.confirm(self.0.now());
    }

    fn denied(&self, tokens: &[Token]) -> usize {
        let now = self.0.now();
        let denies = |token: &&Token| {
            let verdict = black_box(&token.authority).decide(&Checks::default(), now);
            !matches!(black_box(verdict), Verdict::Admitted(_))
        };
        tokens.iter().filter(denies).count()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Revokes the ids with real events: as delegations, since one message can name many.
pub(crate) fn revoke(revocations: &RevocationsWriter, ids: &[String]) {
    let ring = KeyRing::insecure_accept_unsigned();
    for ids in ids.chunks(500) {
        let edges = serde_json::to_string(ids).unwrap();
        let fields: [(&[u8], &[u8]); 4] = [
            (b"zone_id", b"z-1"),
            (b"epoch", b"1"),
            (b"event", b"edge_revoke"),
            (b"edge_ids", edges.as_bytes()),
        ];
        let event = ring.verify(&Message::new(Stream::DelegationsInvalidate, &fields)).unwrap();
        revocations.apply(&event, revocations.now());
    }
}

/// One lock for the four look-ups; the time is read once for many checks.
#[derive(Default)]
pub(crate) struct Locked(RwLock<HashMap<String, Instant>>);

impl Structure for Locked {
    fn name(&self) -> &'static str {
        "RwLock<HashMap>, one lock"
    }

    fn insert(&self, ids: &[String]) {
        for id in ids {
            self.0.write().unwrap().insert(id.clone(), Instant::now() + MEMORY);
        }
    }

    fn denied(&self, tokens: &[Token]) -> usize {
        let now = Instant::now();
        let denies = |token: &&Token| {
            let known = self.0.read().unwrap();
            let is_known = |id| known.get(id).is_some_and(|until| *until > now);
            black_box(black_box(&token.claims).anchors(true).any(|(_, id)| is_known(id)))
        };
        tokens.iter().filter(denies).count()
    }
}

/// moka reads its own clock on every look-up.
pub(crate) struct Moka(pub(crate) Cache<String, ()>);

impl Structure for Moka {
    fn name(&self) -> &'static str {
        "moka::sync::Cache"
    }

    fn insert(&self, ids: &[String]) {
        ids.iter().for_each(|id| self.0.insert(id.clone(), ()));
    }

    fn prepare(&self) {
        self.0.run_pending_tasks();
    }

    fn denied(&self, tokens: &[Token]) -> usize {
        let denies = |token: &&Token| {
            black_box(black_box(&token.claims).anchors(true).any(|(_, id)| self.0.contains_key(id)))
        };
        tokens.iter().filter(denies).count()
    }
}
