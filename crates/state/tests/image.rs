//! A state restores the image of another one completely, or not at all.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{DecidedAt, KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{
    BaselineFact, Checks, Claims, DenyReason, ManualClock, Options, RestoreError, Revocations,
    RevocationsWriter, StateSnapshot, Verdict,
};

/// 2026-11-20T10:00:00Z.
const START: i64 = 1_795_168_800;

fn revocations() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    // Set the clock to START.
    clock.set_wall_back(Duration::from_secs(231_200));
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<DenyReason> {
    match revocations.decide(claims, &Checks::default(), revocations.now()) {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => panic!("a restored state admitted a token"),
        Verdict::Unknown(_) => None,
    }
}

fn session(id: &str, iat: i64) -> Claims {
    let mut claims = Claims::new("ar", iat, iat.saturating_add(3_600));
    claims.agent_session_id = Some(id.into());
    claims
}

fn claims(sid: &str) -> Claims {
    Claims::new(sid, START, START + 3_600)
}

/// Returns the image of a state with an entry of every kind, after serialization.
fn known() -> StateSnapshot {
    let (revocations, _clock) = revocations();
    let now = revocations.now();
    for n in 0..2_000 {
        revocations.add(&BaselineFact::Revoked(&format!("ar-{n}")), now);
    }
    let at = |text| OccurredAt::parse(text).unwrap();
    let decided = Some(DecidedAt::at_millis(1_795_168_800_000));
    let occurred = at("2026-11-20T10:00:00.123456Z");
    revocations.add(&BaselineFact::Suspended { session: "held", occurred, decided }, now);
    revocations.add(&BaselineFact::Resumed { session: "was-held", suspended: occurred }, now);
    revocations.add(&BaselineFact::Epoch { zone: "z", epoch: 9, ended: false }, now);
    revocations.add(&BaselineFact::Epoch { zone: "z", epoch: 7, ended: true }, now);
    revocations.raise_horizon(50);
    let losses = revocations.losses();
    assert!(revocations.clear_horizon(losses));
    revocations.raise_horizon(40);
    let text = serde_json::to_string(&revocations.image()).unwrap();
    assert!(!text.contains("ar-1"), "the image holds no anchor's text");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn restored_state_denies_all_known_and_admits_nothing() {
    let (later, clock) = revocations();
    clock.advance(Duration::from_secs(600));
    later.restore(&known()).unwrap();
    assert_eq!(later.entries(), 2_002);
    for n in 0..2_000 {
        assert_eq!(reason(&later, &claims(&format!("ar-{n}"))), Some(DenyReason::Revoked));
    }
    assert_eq!(reason(&later, &claims("other")), None);
    assert_eq!(reason(&later, &session("held", i64::MAX)), Some(DenyReason::Suspended));
    assert_eq!(reason(&later, &session("was-held", 1_795_168_801)), Some(DenyReason::Suspended));
    assert_eq!(reason(&later, &session("was-held", 1_795_168_802)), None);
    let zone = later.zone("z");
    assert_eq!((zone.delegation_epoch, zone.delegation_ended_epoch), (9, 7));
    assert_eq!(later.horizon(), Some(40), "the horizon for other tokens is higher");
    later.clear_horizon(later.losses());
    assert_eq!(later.horizon(), Some(50));
}

#[test]
fn restored_suspension_is_lifted_only_by_its_resume() {
    let (later, _clock) = revocations();
    later.restore(&known()).unwrap();
    for (text, lifts) in [("2026-11-20T10:00:00.100Z", false), ("2026-11-20T10:05:00Z", true)] {
        let builder = MessageBuilder::resume("z", "held", OccurredAt::parse(text).unwrap());
        let fields = builder.into_fields(None, std::time::SystemTime::now());
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let message = Message::new(caracal_revocation_event::Stream::AgentsLifecycle, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        later.apply(&event, later.now());
        let denied = reason(&later, &session("held", START + 60)).is_some();
        assert_eq!(denied, !lifts, "{text}");
    }
}

#[test]
fn restored_entries_keep_their_remaining_lifetime() {
    let (first, clock) = revocations();
    first.add(&BaselineFact::Revoked("ar-1"), first.now());
    clock.advance(Duration::from_secs(23 * 60 * 60));
    let image = first.image();
    let (later, clock) = revocations();
    later.restore(&image).unwrap();
    clock.advance(Duration::from_secs(58 * 60));
    later.sweep(later.now());
    assert_eq!(later.entries(), 1);
    clock.advance(Duration::from_secs(4 * 60));
    later.sweep(later.now());
    assert_eq!(later.entries(), 0);

    let clock = Arc::new(ManualClock::new());
    let mut options = Options::default();
    options.memory = Duration::from_secs(65 * 60);
    let shorter = RevocationsWriter::with_clock(options, clock.clone());
    shorter.restore(&known()).unwrap();
    clock.advance(Duration::from_secs(68 * 60));
    shorter.sweep(shorter.now());
    assert_eq!(shorter.entries(), 0);
}

#[test]
fn rejects_image_for_used_state_and_impossible_image() {
    let (used, _clock) = revocations();
    used.add(&BaselineFact::Revoked("own"), used.now());
    assert_eq!(used.restore(&known()), Err(RestoreError::InUse));
    assert_eq!(used.entries(), 1);
    assert_eq!(reason(&used, &claims("ar-1")), None);
    assert_eq!(
        used.restore(&used.image()),
        Err(RestoreError::InUse),
        "a state in use rejects even its own image"
    );

    let text = serde_json::to_string(&known()).unwrap();
    let text = text.replace(r#""revoked":["#, r#""revoked":[77,"#);
    let impossible: StateSnapshot = serde_json::from_str(&text).unwrap();
    let text = serde_json::to_string(&known()).unwrap();
    let (before, after) = text.split_once(r#""probe":["#).unwrap();
    let other: StateSnapshot =
        serde_json::from_str(&format!("{before}\"probe\":[1,{after}")).unwrap();
    let (new, _clock) = revocations();
    assert_eq!(new.restore(&other), Err(RestoreError::OtherDigests));
    assert_eq!(new.restore(&impossible), Err(RestoreError::Impossible));
    assert_eq!((new.entries(), new.horizon()), (0, None));
    new.restore(&known()).unwrap();
}
