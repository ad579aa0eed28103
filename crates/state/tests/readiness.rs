//! Staleness bounds, readiness, strict mode and failing open.

#![allow(clippy::panic, clippy::expect_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{
    BaselineFact, Checks, Claims, Degraded, DenyReason, Hop, ManualClock, NotReady, Options,
    OutageCause, Revocations, RevocationsWriter, UnknownCause, Verdict,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
/// Start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;

fn on_manual_clock(options: Options) -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (RevocationsWriter::with_clock(options, clock.clone()), clock)
}

fn issued_at(iat: i64) -> Claims {
    Claims::new("ar-1", iat, iat + 900)
}

fn decide(revocations: &Revocations, claims: &Claims, checks: &Checks) -> Verdict {
    let now = revocations.now();
    let verdict = revocations.decide(claims, checks, now);
    assert_eq!(revocations.authority(claims).decide(checks, now), verdict);
    verdict
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<DenyReason> {
    match decide(revocations, claims, &Checks::default()) {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(why) => panic!("{why:?}"),
    }
}

fn fail_open() -> Checks {
    let mut checks = Checks::default();
    checks.fail_open_unknown = true;
    checks
}

#[test]
fn unready_beyond_the_bound_and_late_before_it() {
    let (revocations, clock) = on_manual_clock(Options::default());
    let unready = |revocations: &Revocations| revocations.readiness(revocations.now()).unready;
    assert_eq!(unready(&revocations), Some(UnknownCause::NotReady(NotReady::Replaying)));
    revocations.set_not_ready(NotReady::NoSignatureVerifies);
    let why = unready(&revocations).map(UnknownCause::label);
    assert_eq!(why, Some("no_signature_verifies"));
    revocations.confirm(revocations.now());
    clock.advance(5 * SECOND);
    let readiness = revocations.readiness(revocations.now());
    assert!(readiness.is_ready() && !readiness.is_late);
    clock.advance(SECOND);
    assert!(revocations.readiness(revocations.now()).is_late);
    assert!(revocations.set_outage(Some(OutageCause::Timeout)));
    assert!(!revocations.set_outage(Some(OutageCause::Timeout)), "nothing changed");
    clock.advance(54 * SECOND);
    assert_eq!(unready(&revocations), None);
    clock.advance(SECOND);
    let readiness = revocations.readiness(revocations.now());
    assert_eq!(
        (readiness.unready.map(UnknownCause::label), readiness.outage),
        (Some("stale"), Some(OutageCause::Timeout))
    );
    assert_eq!(readiness.to_string(), "stale (timeout), last proven complete 61.0 s ago");
}

#[test]
fn notices_suspension_after_wall_clock_was_set_back() {
    let (revocations, clock) = on_manual_clock(Options::default());
    revocations.confirm(revocations.now());
    clock.set_wall_back(3_600 * SECOND);
    clock.advance(SECOND);
    revocations.confirm(revocations.now());
    // The machine is suspended: its monotonic clock stops.
    clock.advance_wall(61 * SECOND);
    assert_eq!(revocations.staleness(revocations.now()), Ok(61 * SECOND));
    let readiness = revocations.readiness(revocations.now());
    assert_eq!(readiness.unready.map(UnknownCause::label), Some("stale"));
}

#[test]
fn ignores_older_proof_that_arrives_late() {
    let (revocations, clock) = on_manual_clock(Options::default());
    let older = revocations.now();
    clock.set_wall_back(3_600 * SECOND);
    clock.advance(SECOND);
    revocations.confirm(revocations.now());
    revocations.confirm(older);
    clock.advance_wall(61 * SECOND);
    assert_eq!(revocations.staleness(revocations.now()), Ok(61 * SECOND));
}

#[test]
fn failing_signatures_degrade_but_stay_ready() {
    let (revocations, clock) = on_manual_clock(Options::default());
    assert!(revocations.set_signatures_fail(true));
    assert!(!revocations.set_signatures_fail(true), "returns `true` only for a change");
    clock.advance(600 * SECOND);
    revocations.confirm(revocations.now());
    let readiness = revocations.readiness(revocations.now());
    assert!(readiness.is_ready());
    assert_eq!(readiness.degraded, Some(Degraded::SignaturesFail));
    assert!(readiness.to_string().contains("degraded: signatures_fail"), "{readiness}");
    assert_eq!(reason(&revocations, &issued_at(NOW)), None);
    assert!(revocations.set_signatures_fail(false));
    assert_eq!(revocations.readiness(revocations.now()).degraded, None);
}

#[test]
fn not_ready_state_is_unknown_until_the_next_proof() {
    let (revocations, clock) = on_manual_clock(Options::default());
    revocations.confirm(revocations.now());
    for why in [NotReady::NotProvisioned, NotReady::NoSignatureVerifies] {
        assert!(revocations.set_not_ready(why));
        assert!(!revocations.set_not_ready(why), "returns `true` only for a change");
        let verdict = decide(&revocations, &issued_at(NOW), &Checks::default());
        assert_eq!(verdict, Verdict::Unknown(UnknownCause::NotReady(why)));
        assert!(why.advice().contains("REDIS_URL") || why.advice().contains("STREAMS_HMAC_KEY"));
    }
    clock.advance(SECOND);
    revocations.confirm(revocations.now());
    assert_eq!(reason(&revocations, &issued_at(NOW)), None);
}

/// Changes of a state by a follower or by time.
#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Confirm(u64),
    Withhold(NotReady),
    SignaturesFail(bool),
    OutageCause(Option<OutageCause>),
    Revoke(u8),
    RaiseHorizon,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let why = prop_oneof![
        Just(NotReady::Replaying),
        Just(NotReady::NoSignatureVerifies),
        Just(NotReady::NotProvisioned),
    ];
    let step = prop_oneof![
        (0..100_000_u64).prop_map(Step::Advance),
        (0..100_000_u64).prop_map(Step::Confirm),
        why.prop_map(Step::Withhold),
        any::<bool>().prop_map(Step::SignaturesFail),
        prop_oneof![Just(None), Just(Some(OutageCause::Timeout))].prop_map(Step::OutageCause),
        any::<u8>().prop_map(Step::Revoke),
        Just(Step::RaiseHorizon),
        Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn ready_exactly_while_a_valid_token_is_admitted(steps in steps(), strict in any::<bool>()) {
        let mut options = if strict { Options::strict() } else { Options::default() };
        options.max_entries = 16;
        let (revocations, clock) = on_manual_clock(options);
        for step in steps {
            let now = revocations.now();
            match step {
                Step::Advance(millis) => clock.advance(Duration::from_millis(millis)),
                Step::Confirm(age) => {
                    revocations.confirm(now.earlier_by(Duration::from_millis(age)));
                }
                Step::Withhold(why) => drop(revocations.set_not_ready(why)),
                Step::SignaturesFail(fail) => drop(revocations.set_signatures_fail(fail)),
                Step::OutageCause(outage) => drop(revocations.set_outage(outage)),
                Step::Revoke(first) => (0..12).for_each(|n| {
                    revocations.add(&BaselineFact::Revoked(&format!("ar-{first}-{n}")), now);
                }),
                Step::RaiseHorizon => revocations.raise_horizon(NOW - 1_000),
                Step::Reopen => drop(revocations.reopen(NOW - 1_000)),
            }
            let made = revocations.now().wall.as_secs().cast_signed();
            let clean = Claims::new("clean", made, made + 900);
            let verdict = decide(&revocations, &clean, &Checks::default());
            let readiness = revocations.readiness(revocations.now());
            prop_assert_eq!(
                readiness.is_ready(),
                matches!(verdict, Verdict::Admitted(_)),
                "{:?} after {:?}", verdict, readiness
            );
        }
    }
}

#[test]
fn too_short_bound_is_an_error_that_names_the_setting() {
    let revocations = RevocationsWriter::new(Options::default());
    let error = revocations.require_bound("with_deny_after", 399 * SECOND / 1_000).unwrap_err();
    assert_eq!(error.setting(), "with_deny_after");
    assert_eq!(revocations.shortest_bound(), 60 * SECOND);
    assert_eq!(revocations.require_bound("with_deny_after", Options::SHORTEST_BOUND), Ok(()));
    assert_eq!(revocations.require_bound("with_deny_after", 10 * SECOND), Ok(()));
    assert_eq!(revocations.shortest_bound(), Options::SHORTEST_BOUND);
    for options in [Options::default(), Options::strict()] {
        assert_eq!(options.check(), Ok(()));
    }
}

#[test]
fn own_bound_denies_earlier_and_never_later() {
    let (revocations, clock) = on_manual_clock(Options::default());
    revocations.confirm(revocations.now());
    for age in [1, 2, 60, 61] {
        let so_far = revocations.staleness(revocations.now()).unwrap();
        clock.advance(age * SECOND - so_far);
        let staleness = age * SECOND;
        for own in [SECOND, 100 * SECOND] {
            let mut checks = Checks::default();
            checks.deny_after = Some(own);
            let bound = own.min(60 * SECOND);
            match decide(&revocations, &issued_at(NOW), &checks) {
                Verdict::Admitted(admitted) => {
                    assert!(staleness <= bound, "{age} s is within {own:?}");
                    assert_eq!(admitted.staleness(), staleness);
                }
                verdict => {
                    assert_eq!(verdict, Verdict::Unknown(UnknownCause::Stale { staleness, bound }));
                    assert!(staleness > bound, "{age} s is beyond {own:?}");
                }
            }
        }
    }
}

#[test]
fn failing_open_admits_unknown_and_reports_it() {
    let (revocations, clock) = on_manual_clock(Options::default());
    let Verdict::Admitted(admitted) = decide(&revocations, &issued_at(NOW), &fail_open()) else {
        panic!("not admitted");
    };
    assert_eq!(admitted.staleness(), Duration::MAX);
    assert_eq!(admitted.failed_open(), Some(UnknownCause::NotReady(NotReady::Replaying)));
    revocations.confirm(revocations.now());
    for (seconds, fails) in [(60, false), (1, true)] {
        clock.advance(seconds * SECOND);
        let Verdict::Admitted(admitted) = decide(&revocations, &issued_at(NOW), &fail_open())
        else {
            panic!("not admitted");
        };
        assert_eq!(admitted.failed_open().is_some(), fails);
        assert!(admitted.staleness() >= 60 * SECOND);
    }
}

#[test]
fn failing_open_denies_revoked_and_below_the_horizon() {
    let (revocations, _) = on_manual_clock(Options::default());
    let is_denied =
        |claims: &Claims| matches!(decide(&revocations, claims, &fail_open()), Verdict::Denied(_));
    revocations.raise_horizon(NOW);
    assert!(is_denied(&issued_at(NOW)));
    assert!(!is_denied(&issued_at(NOW + 1)));
    let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).expect("an event");
    revocations.apply(&event, revocations.now());
    assert!(is_denied(&issued_at(NOW + 1)));
    let mut expired = issued_at(NOW - 960);
    expired.sid = "ar-2".into();
    assert!(is_denied(&expired));
}

/// A mandate with one delegation, as a real deployment issues it: the chain names the source with
/// its edge, and then the receiver.
fn delegated_once() -> serde_json::Value {
    let iat = NOW + 121;
    serde_json::json!({
        "iss": "http://sts:8080", "aud": ["gateway"], "sub": "user-1", "sub_type": "user",
        "use": "gateway", "client_id": "app-2", "jti": "jti-1", "zone_id": "z-1",
        "iat": iat, "exp": iat + 900, "sid": "ar-1", "root_sid": "ar-0",
        "agent_session_id": "gs-2", "delegation_edge_id": "de-1",
        "source_session_id": "gs-1", "target_session_id": "gs-2", "hop_count": 1,
        "delegation_path": ["de-1"], "delegation_graph_epoch": 1,
        "delegation_chain": [
            {"application_id": "app-1", "agent_session_id": "gs-1", "delegation_edge_id": "de-1"},
            {"application_id": "app-2", "agent_session_id": "gs-2"},
        ],
    })
}

#[test]
fn denies_expired_early_and_overlong_tokens() {
    let (revocations, clock) = on_manual_clock(Options::default());
    let (second, hour) = (1, 3_600);
    for (iat, exp, expected) in [
        (NOW, NOW + hour, None),
        (NOW - hour, NOW - 59 * second, None),
        (NOW - hour, NOW - 60 * second, Some(DenyReason::Expired)),
        (0, hour, Some(DenyReason::Expired)),
        (NOW + 60 * second, NOW + hour, None),
        (NOW + 61 * second, NOW + hour, Some(DenyReason::NotYetValid)),
        (NOW, NOW + hour + second, Some(DenyReason::LifetimeTooLong)),
        (NOW, NOW + 7 * 24 * hour, Some(DenyReason::LifetimeTooLong)),
        (i64::MIN, i64::MAX, Some(DenyReason::LifetimeTooLong)),
    ] {
        let claims = Claims::new("ar-1", iat, exp);
        // The lifetime decides before and after the first proof.
        for _ in 0..2 {
            let verdict = decide(&revocations, &claims, &Checks::default());
            let found = match verdict {
                Verdict::Denied(denial) => Some(denial.reason()),
                _ => None,
            };
            assert_eq!(found, expected, "{iat}, {exp}");
            revocations.confirm(revocations.now());
        }
        assert_eq!(reason(&revocations, &claims), expected, "{iat}, {exp}");
        let open = decide(&revocations, &claims, &fail_open());
        assert_eq!(matches!(open, Verdict::Denied(_)), expected.is_some(), "{iat}, {exp}");
        let mut elsewhere = Checks::default();
        elsewhere.lifetime = false;
        let verdict = decide(&revocations, &claims, &elsewhere);
        assert!(matches!(verdict, Verdict::Admitted(_)), "{iat}, {exp}");
    }
    // A revocation outweighs the expiry of a token.
    revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
    clock.advance(7 * 24 * 3_600 * SECOND);
    assert_eq!(reason(&revocations, &issued_at(NOW)), Some(DenyReason::Revoked));
}

#[test]
fn no_token_outlives_memory_of_its_revocation() {
    let mut options = Options::default();
    options.memory = Duration::ZERO;
    let (revocations, clock) = on_manual_clock(options);
    // The longest lifetime, from an issuer whose clock is ahead by the leeway.
    let longest = Claims::new("ar-1", NOW + 60, NOW + 60 + 3_600);
    let endless = Claims::new("ar-1", NOW, NOW + 7 * 24 * 3_600);
    revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
    for _ in 0..26 * 60 {
        revocations.sweep(revocations.now());
        revocations.confirm(revocations.now());
        for claims in [&longest, &endless] {
            assert!(reason(&revocations, claims).is_some(), "at {:?}", revocations.now());
        }
        clock.advance(60 * SECOND);
    }
    assert_eq!(revocations.entries(), 0, "the entry has expired");
}

#[test]
fn strict_mode_admits_mandate_with_one_delegation_after_a_start() {
    let (strict, clock) = on_manual_clock(Options::strict());
    clock.advance(121 * SECOND);
    strict.confirm(strict.now());
    strict.raise_horizon(NOW);
    let real = delegated_once();
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = real.clone();
        claims[name] = value;
        serde_json::from_value::<Claims>(claims).expect("claims")
    };
    assert_eq!(reason(&strict, &with("hop_count", 1.into())), None);
    // Two delegations, or contradictory claims: the chain may contain an earlier hop.
    let mut longer = real["delegation_chain"].clone();
    longer.as_array_mut().expect("hops").push(serde_json::json!({"application_id": "app-3"}));
    for (name, value) in [
        ("hop_count", 2.into()),
        ("hop_count", 0.into()),
        ("hop_count", serde_json::Value::Null),
        ("delegation_path", serde_json::json!(["de-0", "de-1"])),
        ("delegation_chain", longer),
    ] {
        let claims = with(name, value.clone());
        let held = reason(&strict, &claims);
        assert_eq!(held, Some(DenyReason::HistoryIncomplete), "{name}: {value}");
    }
}

#[test]
fn strict_mode_denies_chains_the_horizon_does_not_cover() {
    let chain = |iat| {
        let mut claims = issued_at(iat);
        let hop = |session: &str| Hop::new(Some(session.into()), None);
        claims.delegation_chain = vec![hop("gs-1"), hop("gs-2")];
        claims
    };
    let (lenient, lenient_clock) = on_manual_clock(Options::default());
    let (strict, strict_clock) = on_manual_clock(Options::strict());
    let advance = |seconds: u32| {
        for (revocations, clock) in [(&lenient, &lenient_clock), (&strict, &strict_clock)] {
            clock.advance(seconds * SECOND);
            revocations.confirm(revocations.now());
        }
    };
    advance(0);
    for revocations in [&lenient, &strict] {
        assert_eq!(reason(revocations, &chain(NOW)), None);
        revocations.raise_horizon(NOW);
        assert_eq!(reason(revocations, &issued_at(NOW)), Some(DenyReason::HistoryIncomplete));
    }
    advance(121);
    assert_eq!(reason(&lenient, &issued_at(NOW + 1)), None);
    assert_eq!(reason(&lenient, &chain(NOW + 121)), None);
    assert_eq!(reason(&strict, &issued_at(NOW + 120)), Some(DenyReason::HistoryIncomplete));
    assert_eq!(reason(&strict, &issued_at(NOW + 121)), None);
    let far = NOW + 65 * 60;
    advance(65 * 60 - 121);
    assert_eq!(reason(&strict, &chain(far)), Some(DenyReason::HistoryIncomplete));
    advance(1);
    assert_eq!(reason(&strict, &chain(far)), None);
    strict.add(&BaselineFact::Revoked("ar-1"), strict.now());
    assert_eq!(reason(&strict, &chain(far)), Some(DenyReason::Revoked));
}
