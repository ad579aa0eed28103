//! Conditions that forbid a plain admission: each alone, and all of them together.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{
    BaselineFact, Checks, Claims, DenyReason, ManualClock, Options, RevocationsWriter,
    UnknownCause, Verdict,
};

/// The start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Revoked,
    Expired,
    StaleEpoch,
    Stale,
    Full,
    Horizon,
}

/// In the order in which a verdict names them.
const CONDITIONS: [Condition; 6] = [
    Condition::Revoked,
    Condition::Expired,
    Condition::StaleEpoch,
    Condition::Stale,
    Condition::Full,
    Condition::Horizon,
];

fn state_with(conditions: &[Condition]) -> RevocationsWriter {
    let clock = Arc::new(ManualClock::new());
    let mut options = Options::default();
    options.max_entries = 2;
    let revocations = RevocationsWriter::with_clock(options, clock.clone());
    revocations.confirm(revocations.now());
    let has = |condition| conditions.contains(&condition);
    let revoke = |id| revocations.add(&BaselineFact::Revoked(id), revocations.now());
    if has(Condition::Revoked) {
        revoke("ar-1");
    }
    if has(Condition::Full) {
        ["other-1", "other-2", "other-3"].into_iter().for_each(revoke);
    }
    if has(Condition::StaleEpoch) {
        let fact = BaselineFact::Epoch { zone: "z-1", epoch: 8, ended: true };
        revocations.add(&fact, revocations.now());
    }
    if has(Condition::Horizon) {
        revocations.raise_horizon(NOW);
    }
    if has(Condition::Expired) {
        clock.advance(Duration::from_secs(960));
        revocations.confirm(revocations.now());
    }
    if has(Condition::Stale) {
        // Beyond the bound of a minute, while the token is valid.
        revocations.confirm(revocations.now());
        clock.advance(Duration::from_secs(61));
    }
    revocations
}

fn expected(conditions: &[Condition]) -> Option<Result<DenyReason, &'static str>> {
    CONDITIONS.into_iter().find(|condition| conditions.contains(condition)).map(|first| match first
    {
        Condition::Revoked => Ok(DenyReason::Revoked),
        Condition::Expired => Ok(DenyReason::Expired),
        Condition::StaleEpoch => Ok(DenyReason::DelegationStale),
        Condition::Stale => Err("stale"),
        Condition::Full => Err("full"),
        Condition::Horizon => Ok(DenyReason::HistoryIncomplete),
    })
}

#[test]
fn every_set_of_conditions_gives_the_verdict_of_its_first() {
    let mut claims = Claims::new("ar-1", NOW, NOW + 900);
    claims.zone_id = Some("z-1".into());
    claims.delegation_graph_epoch = 7;
    let mut checks = Checks::default();
    checks.delegation_epoch = true;
    for set in 0..1_u32 << CONDITIONS.len() {
        let conditions: Vec<_> = CONDITIONS
            .into_iter()
            .enumerate()
            .filter(|(at, _)| set >> at & 1 == 1)
            .map(|(_, condition)| condition)
            .collect();
        let revocations = state_with(&conditions);
        let now = revocations.now();
        let verdict = revocations.decide(&claims, &checks, now);
        let found = match verdict {
            Verdict::Admitted(_) => None,
            Verdict::Denied(denial) => Some(Ok(denial.reason())),
            Verdict::Unknown(why) => Some(Err(UnknownCause::label(why))),
        };
        assert_eq!(found, expected(&conditions), "{conditions:?}");
        let authority = revocations.authority(&claims);
        // The second time, an authority knows that its anchors are not in the index.
        for _ in 0..2 {
            assert_eq!(authority.decide(&checks, now), verdict, "{conditions:?}");
        }
    }
}

#[test]
fn check_that_is_off_denies_nothing() {
    let mut claims = Claims::new("ar-1", NOW, NOW + 900);
    claims.zone_id = Some("z-1".into());
    claims.delegation_graph_epoch = 7;
    for condition in [Condition::Expired, Condition::StaleEpoch, Condition::Horizon] {
        let revocations = state_with(&[condition]);
        let mut checks = Checks::default();
        checks.delegation_epoch = condition != Condition::StaleEpoch;
        checks.lifetime = condition != Condition::Expired;
        checks.horizon = condition != Condition::Horizon;
        let now = revocations.now();
        let verdict = revocations.decide(&claims, &checks, now);
        assert!(matches!(verdict, Verdict::Admitted(_)), "{condition:?}: {verdict:?}");
        assert_eq!(revocations.authority(&claims).decide(&checks, now), verdict);
    }
}

#[test]
fn token_without_an_epoch_has_no_stale_one() {
    let revocations = state_with(&[Condition::StaleEpoch]);
    let mut checks = Checks::default();
    checks.delegation_epoch = true;
    for (zone, epoch, is_denied) in [
        (Some("z-1"), 0, false),
        (Some("z-1"), 1, true),
        (Some("z-1"), 7, true),
        (Some("z-1"), 8, false),
        (Some("z-2"), 7, false),
        (None, 7, false),
    ] {
        let mut claims = Claims::new("ar-1", NOW, NOW + 900);
        claims.zone_id = zone.map(Into::into);
        claims.delegation_graph_epoch = epoch;
        let verdict = revocations.decide(&claims, &checks, revocations.now());
        assert_eq!(matches!(verdict, Verdict::Denied(_)), is_denied, "{zone:?} {epoch}");
    }
}
