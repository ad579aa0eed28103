//! What a reader sees and awaits, and the labels of its reasons.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{
    BaselineFact, CutPoint, Degraded, DenyReason, ManualClock, NotReady, Options, OutageCause,
    RevocationsWriter, UnknownCause,
};

fn writer() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[test]
fn waits_until_the_view_is_proven_for_the_first_time() {
    let (writer, _clock) = writer();
    let reader = writer.reader();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    {
        let mut ready = pin!(reader.ready());
        assert!(ready.as_mut().poll(&mut context).is_pending());
        writer.set_not_ready(NotReady::NotProvisioned);
        assert!(ready.as_mut().poll(&mut context).is_pending());
        assert!(!woken.take());
        writer.confirm(writer.now());
        assert!(woken.take());
        assert!(ready.as_mut().poll(&mut context).is_ready());
    }
    assert!(pin!(reader.ready()).poll(&mut context).is_ready());
}

#[test]
fn policy_changes_wake_their_reader() {
    let (writer, _clock) = writer();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut changes = writer.policy_changes();
    for round in 1..4 {
        let mut changed = pin!(changes.changed());
        assert!(changed.as_mut().poll(&mut context).is_pending(), "round {round}");
        if round == 2 {
            let fields: [(&[u8], &[u8]); 2] =
                [(b"zone_id", b"z-1"), (b"policy_set_version_id", b"v-7")];
            let message = Message::new(Stream::PolicyInvalidate, &fields);
            let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
            writer.apply(&event, writer.now());
            assert_eq!(writer.policy("z-1").version.as_deref(), Some("v-7"));
        } else {
            writer.reload_all_policies();
        }
        assert!(woken.take());
        assert!(changed.as_mut().poll(&mut context).is_ready());
        assert_eq!(writer.policy("z-1").generation, round);
        assert_eq!(writer.zone("z-1").policy_generation, round);
    }
    assert_eq!(writer.policy("z-2").generation, 2);
}

#[test]
fn readers_of_one_state_are_the_same() {
    let ((one, clock), (other, _)) = (writer(), writer());
    assert!(one.is(&one.reader()) && one.is(&one.reader().clone()));
    assert!(!one.is(&other));
    clock.advance(Duration::from_secs(7));
    assert_eq!(one.now_coarse(), one.now());
    assert_eq!(one.now().elapsed_since(other.now()), Duration::from_secs(7));
}

#[test]
fn reader_counts_entries_and_their_bytes() {
    let (writer, _clock) = writer();
    let empty = writer.bytes();
    assert_eq!((writer.entries(), writer.running()), (0, 0));
    for n in 0..1_000 {
        writer.add(&BaselineFact::Revoked(&format!("ar-{n}")), writer.now());
    }
    assert_eq!(writer.entries(), 1_000);
    assert!((1_000 * 16..1_000 * 200).contains(&(writer.bytes() - empty)), "{}", writer.bytes());
}

#[test]
fn repeated_condition_is_no_news() {
    let (writer, _clock) = writer();
    assert!(writer.set_not_ready(NotReady::NotProvisioned));
    assert!(!writer.set_not_ready(NotReady::NotProvisioned));
    assert!(writer.set_outage(Some(OutageCause::Loading)));
    assert!(!writer.set_outage(Some(OutageCause::Loading)));
    assert_eq!(writer.readiness(writer.now()).outage, Some(OutageCause::Loading));
    assert!(writer.set_outage(None) && !writer.set_outage(None));
    assert!(writer.set_signatures_fail(true) && !writer.set_signatures_fail(true));
    assert_eq!(writer.readiness(writer.now()).degraded, Some(Degraded::SignaturesFail));
    assert!(writer.set_signatures_fail(false));
    assert_eq!(writer.readiness(writer.now()).degraded, None);
}

#[test]
fn reasons_have_their_labels() {
    let stale = UnknownCause::Stale { staleness: Duration::ZERO, bound: Duration::ZERO };
    for (label, expected) in [
        (DenyReason::Revoked.label(), "revoked"),
        (DenyReason::Suspended.label(), "suspended"),
        (DenyReason::DelegationStale.label(), "delegation_stale"),
        (DenyReason::HistoryIncomplete.label(), "history_incomplete"),
        (DenyReason::Expired.label(), "expired"),
        (DenyReason::NotYetValid.label(), "not_yet_valid"),
        (DenyReason::LifetimeTooLong.label(), "lifetime_too_long"),
        (NotReady::Replaying.label(), "replaying"),
        (NotReady::NoSignatureVerifies.label(), "no_signature_verifies"),
        (NotReady::NotProvisioned.label(), "not_provisioned"),
        (UnknownCause::NotReady(NotReady::NotProvisioned).label(), "not_provisioned"),
        (UnknownCause::Full.label(), "full"),
        (stale.label(), "stale"),
        (Degraded::SignaturesFail.label(), "signatures_fail"),
    ] {
        assert_eq!(label, expected);
    }
    let points = CutPoint::ALL.map(CutPoint::label);
    assert_eq!(points, ["handler", "upload", "response", "event_stream", "grpc", "signal"]);
}

#[test]
fn advice_names_the_setting_to_change() {
    assert!(NotReady::NoSignatureVerifies.advice().contains("STREAMS_HMAC_KEY"));
    assert!(NotReady::NotProvisioned.advice().contains("REDIS_URL"));
    assert!(NotReady::Replaying.advice().starts_with("wait"));
    assert!(OutageCause::Login.advice().contains("REDIS_PASSWORD"));
    assert!(OutageCause::Moved.advice().contains("REDIS_CLUSTER_NODES"));
    assert!(OutageCause::ALL.into_iter().all(|cause| cause.advice().len() > 20));
}
