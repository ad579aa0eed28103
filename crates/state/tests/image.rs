//! What a state remembers is recalled by another one: all of it, and nothing where it cannot be.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{DecidedAt, KeyRing, Message, Notice, OccurredAt};
use caracal_revocation_state::{
    Checks, Claims, Image, Known, ManualClock, Options, Reason, RecallError, Revocations,
    RevocationsWriter, Verdict,
};

/// 2026-11-20T10:00:00Z.
const START: i64 = 1_795_168_800;

fn revocations() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    // To the START.
    clock.set_wall_back(Duration::from_secs(231_200));
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<Reason> {
    match revocations.decide(claims, &Checks::default(), revocations.now()) {
        Verdict::Refused(refusal) => Some(refusal.reason()),
        Verdict::Admitted(_) => panic!("admitted by what was recalled alone"),
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

/// A state with something of every kind, and the image of it as it is written.
fn known() -> Image {
    let (revocations, _clock) = revocations();
    let now = revocations.now();
    for n in 0..2_000 {
        revocations.add(&Known::Revoked(&format!("ar-{n}")), now);
    }
    let at = |text| OccurredAt::parse(text).unwrap();
    let decided = Some(DecidedAt::at_millis(1_795_168_800_000));
    let occurred = at("2026-11-20T10:00:00.123456Z");
    revocations.add(&Known::Suspended { session: "held", occurred, decided }, now);
    revocations.add(&Known::Resumed { session: "was-held", suspended: occurred }, now);
    revocations.add(&Known::Epoch { zone: "z", epoch: 9, ended: false }, now);
    revocations.add(&Known::Epoch { zone: "z", epoch: 7, ended: true }, now);
    revocations.raise_horizon(50);
    let losses = revocations.losses();
    assert!(revocations.take_back_horizon(losses));
    revocations.raise_horizon(40);
    let text = serde_json::to_string(&revocations.image()).unwrap();
    assert!(!text.contains("ar-1"), "no anchor's text");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn everything_that_was_known_is_refused_and_nothing_is_admitted() {
    let (later, clock) = revocations();
    clock.advance(Duration::from_secs(600));
    later.recall(&known()).unwrap();
    assert_eq!(later.entries(), 2_002);
    for n in 0..2_000 {
        assert_eq!(reason(&later, &claims(&format!("ar-{n}"))), Some(Reason::Revoked));
    }
    assert_eq!(reason(&later, &claims("other")), None);
    assert_eq!(reason(&later, &session("held", i64::MAX)), Some(Reason::Suspended));
    assert_eq!(reason(&later, &session("was-held", 1_795_168_801)), Some(Reason::Suspended));
    assert_eq!(reason(&later, &session("was-held", 1_795_168_802)), None);
    let zone = later.zone("z");
    assert_eq!((zone.delegation_epoch, zone.delegation_ended_epoch), (9, 7));
    assert_eq!(later.horizon(), Some(40), "and that of the others is higher");
    later.take_back_horizon(later.losses());
    assert_eq!(later.horizon(), Some(50));
}

#[test]
fn a_suspension_that_is_recalled_is_lifted_by_its_resume_and_by_no_other() {
    let (later, _clock) = revocations();
    later.recall(&known()).unwrap();
    for (text, lifts) in [("2026-11-20T10:00:00.100Z", false), ("2026-11-20T10:05:00Z", true)] {
        let notice = Notice::resume("z", "held", OccurredAt::parse(text).unwrap());
        let fields = notice.into_fields(None, std::time::SystemTime::now());
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let message = Message::new(caracal_revocation_event::Stream::AgentsLifecycle, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        later.apply(&event, later.now());
        let refused = reason(&later, &session("held", START + 60)).is_some();
        assert_eq!(refused, !lifts, "{text}");
    }
}

#[test]
fn what_is_recalled_lasts_for_what_was_left_to_it_and_no_longer_than_the_memory() {
    let (first, clock) = revocations();
    first.add(&Known::Revoked("ar-1"), first.now());
    clock.advance(Duration::from_secs(23 * 60 * 60));
    let image = first.image();
    let (later, clock) = revocations();
    later.recall(&image).unwrap();
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
    shorter.recall(&known()).unwrap();
    clock.advance(Duration::from_secs(68 * 60));
    shorter.sweep(shorter.now());
    assert_eq!(shorter.entries(), 0);
}

#[test]
fn a_state_in_use_and_an_image_that_cannot_be_change_nothing() {
    let (used, _clock) = revocations();
    used.add(&Known::Revoked("own"), used.now());
    assert_eq!(used.recall(&known()), Err(RecallError::InUse));
    assert_eq!(used.entries(), 1);
    assert_eq!(reason(&used, &claims("ar-1")), None);
    assert_eq!(used.recall(&used.image()), Err(RecallError::InUse), "not even its own");

    let text = serde_json::to_string(&known()).unwrap();
    let text = text.replace(r#""revoked":["#, r#""revoked":[77,"#);
    let impossible: Image = serde_json::from_str(&text).unwrap();
    let text = serde_json::to_string(&known()).unwrap();
    let (before, after) = text.split_once(r#""probe":["#).unwrap();
    let other: Image = serde_json::from_str(&format!("{before}\"probe\":[1,{after}")).unwrap();
    let (new, _clock) = revocations();
    assert_eq!(new.recall(&other), Err(RecallError::OtherDigests));
    assert_eq!(new.recall(&impossible), Err(RecallError::Impossible));
    assert_eq!((new.entries(), new.horizon()), (0, None));
    new.recall(&known()).unwrap();
}
