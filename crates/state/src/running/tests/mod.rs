//! Tests of cutting running requests, without tasks of a runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, Stream};

use super::{Cut, CutPoint, CutPolicy, RequestCancellation, RevokedSignal};
use crate::clock::UnixSeconds;
use crate::{
    AnchorKind, BaselineFact, Checks, Claims, Clock, DenyReason, Hop, ManualClock, Moment, Options,
    RevocationsWriter, UnknownCause,
};

mod conditions;
mod parts;
mod races;

struct Scene {
    clock: Arc<ManualClock>,
    revocations: Arc<RevocationsWriter>,
}

/// Second 0 of the manual clock.
const START: i64 = 1_795_400_000;

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        revocations.confirm(revocations.now());
        Self { clock, revocations: Arc::new(revocations) }
    }

    fn apply(&self, stream: Stream, fields: &[(&str, &str)]) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let event = KeyRing::insecure_accept_unsigned()
            .verify(&Message::new(stream, &fields))
            .expect("a message");
        self.revocations.apply(&event, self.revocations.now());
    }

    fn revoke(&self, anchor: &str, id: &str) {
        self.apply(Stream::SessionsRevoke, &[(anchor, id), ("zone_id", "z")]);
    }

    fn watch(&self) -> CutPolicy {
        CutPolicy::new(self.revocations.reader(), Checks::default())
    }

    fn start(&self, claims: &Claims) -> Waiting {
        Waiting::new(Arc::new(self.watch()).start(claims))
    }

    fn delegated(&self, ended_only: bool, epoch: u64) -> Waiting {
        let checks = Checks {
            delegation_epoch: true,
            ended_delegations_only: ended_only,
            ..Checks::default()
        };
        let mut claims = claims("ar-1");
        (claims.zone_id, claims.delegation_graph_epoch) = (Some("z".into()), epoch);
        Waiting::new(Arc::new(CutPolicy::new(self.revocations.reader(), checks)).start(&claims))
    }

    fn epoch(&self, event: &str, epoch: &str) {
        let fields = [("zone_id", "z"), ("epoch", epoch), ("event", event), ("edge_id", "e-9")];
        self.apply(Stream::DelegationsInvalidate, &fields);
    }
}

/// A task that waits for its request to be cut, and counts how often it was woken.
struct Waiting {
    running: RequestCancellation,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Waiting {
    fn new(running: RequestCancellation) -> Self {
        let mut waiting = Self { running, woken: Arc::default() };
        let _ = waiting.poll();
        waiting
    }

    fn poll(&mut self) -> Poll<Cut> {
        let waker = Waker::from(Arc::clone(&self.woken));
        std::pin::pin!(&mut self.running).poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Returns the reason for which it was woken, exactly once; `None` if it never was.
    fn reason(&mut self) -> Option<&'static str> {
        match self.poll() {
            Poll::Ready(cut) => {
                assert_eq!(self.woken(), 1);
                Some(cut.label())
            }
            Poll::Pending => {
                assert_eq!(self.woken(), 0);
                None
            }
        }
    }
}

fn claims(sid: &str) -> Claims {
    Claims::new(sid, START, START + 3_600)
}

fn full_claims() -> Claims {
    let mut claims = claims("sid");
    claims.root_sid = Some("root".into());
    claims.agent_session_id = Some("session".into());
    claims.delegation_edge_id = Some("edge".into());
    claims.delegation_chain = vec![Hop::new(Some("hop-session".into()), Some("hop-edge".into()))];
    claims.delegation_path = vec!["path-edge".into()];
    claims
}
