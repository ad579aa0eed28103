//! Zones over time: loads, invalidations, errors and ages.

use std::time::Duration;

use caracal_revocation_opa::{
    DecisionError, InvalidBundle, LoadFailure, PolicyBundle, PolicyOptions, PolicyUnavailable,
    ZonePolicies,
};
use caracal_test_support::opa::*;
use caracal_test_support::waiting::eventually;

fn with(script: &Script, change: impl FnOnce(&mut PolicyOptions)) -> Zones {
    let (revocations, clock) = fresh();
    let mut options = PolicyOptions::default();
    change(&mut options);
    let policies = ZonePolicies::with_options(
        revocations.reader(),
        script.clone(),
        Allowing::default(),
        options,
    );
    Zones { policies, revocations, clock }
}

struct Zones {
    policies: ZonePolicies,
    revocations: caracal_revocation_state::RevocationsWriter,
    clock: std::sync::Arc<caracal_revocation_state::ManualClock>,
}

impl Zones {
    async fn decided_by(&self) -> Result<String, DecisionError> {
        self.policies.decide(input()).await.map(|decision| decision.version.to_string())
    }

    async fn unusable(&self) -> PolicyUnavailable {
        match self.policies.decide(input()).await {
            Err(DecisionError::PolicyUnavailable(unusable)) => unusable,
            other => panic!("usable: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loads_zone_on_first_request_and_on_invalidation() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    assert_eq!(zones.policies.status(ZONE), None);
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
    script.holds(bundle("v2"));
    invalidate(&zones.revocations, "v2");
    eventually("v2", || serves(&zones.policies, "v2")).await;
    assert_eq!(zones.decided_by().await.unwrap(), "v2");
    assert_eq!(script.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn gap_in_the_stream_reloads_every_zone() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.holds(bundle("v2"));
    zones.revocations.reload_all_policies();
    eventually("v2", || serves(&zones.policies, "v2")).await;
}

#[tokio::test(start_paused = true)]
async fn poll_and_refresh_find_unannounced_changes() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.holds(bundle("v2"));
    tokio::time::sleep(Duration::from_secs(67)).await;
    assert!(serves(&zones.policies, "v2"));
    script.holds(bundle("v3"));
    let status = zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(status.version.as_deref(), Some("v3"));
}

#[tokio::test(start_paused = true)]
async fn loads_a_zone_once_at_a_time() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let gate = script.gate();
    let zones = with(&script, |_| {});
    let many: Vec<_> = (0..100)
        .map(|_| {
            let policies = zones.policies.clone();
            tokio::spawn(async move { policies.decide(input()).await })
        })
        .collect();
    for n in 0..50 {
        invalidate(&zones.revocations, &format!("v{n}"));
        tokio::task::yield_now().await;
    }
    gate.add_permits(1_000);
    for one in many {
        one.await.unwrap().unwrap();
    }
    assert_eq!(script.most_running(), 1);
}

#[tokio::test(start_paused = true)]
async fn thousand_invalidations_end_with_the_newest_in_force() {
    let script = Script::new();
    script.holds(bundle("v0"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    for n in 1..=1_000_u32 {
        zones.clock.advance(Duration::from_millis(1));
        match n % 3 {
            0 => script.holds(bundle(&format!("v{}", n.saturating_sub(2)))),
            _ => script.fails(),
        }
        invalidate(&zones.revocations, &format!("v{n}"));
        tokio::time::sleep(Duration::from_millis(u64::from(n % 7))).await;
        assert!(!status(&zones.policies).invalidation_age.is_zero() || n == 1, "v{n}");
    }
    assert!(!serves(&zones.policies, "v1000"));
    assert_eq!(status(&zones.policies).invalidation_age, Duration::from_millis(999));
    script.holds(bundle("v1000"));
    eventually("v1000 is in force", || {
        let status = status(&zones.policies);
        status.version.as_deref() == Some("v1000") && status.invalidation_age.is_zero()
    })
    .await;
    assert_eq!(status(&zones.policies).trouble, None);
    assert_eq!(zones.decided_by().await.unwrap(), "v1000");
}

#[tokio::test(start_paused = true)]
async fn error_never_consumes_an_invalidation() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.fails();
    invalidate(&zones.revocations, "v2");
    let loads = script.loads();
    eventually("the load is retried", || script.loads() > loads + 10).await;
    assert_eq!(status(&zones.policies).trouble, Some(LoadFailure::Source));
    assert_eq!(status(&zones.policies).awaited.as_deref(), Some("v2"));
    // The source recovers with an older version than the awaited one.
    script.holds(bundle("v1"));
    let loads = script.loads();
    eventually("the load is retried further", || script.loads() > loads + 5).await;
    assert_eq!(status(&zones.policies).trouble, Some(LoadFailure::NotYetAwaited));
    script.holds(bundle("v2"));
    eventually("v2", || serves(&zones.policies, "v2")).await;
    assert_eq!(status(&zones.policies).awaited, None);
}

#[tokio::test(start_paused = true)]
async fn newer_bundle_may_cover_an_awaited_version() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.holds(sealed(PolicyBundle::new("v3").covering("v2")));
    invalidate(&zones.revocations, "v2");
    eventually("v3 in force", || {
        serves(&zones.policies, "v3") && status(&zones.policies).trouble.is_none()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ages_count_from_confirmation_and_oldest_open_invalidation() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |options| options.poll_interval = Duration::from_secs(1_000_000));
    zones.decided_by().await.unwrap();
    let ages = || {
        let status = status(&zones.policies);
        (status.confirmed_age.as_secs(), status.invalidation_age.as_secs())
    };
    assert_eq!(ages(), (0, 0));
    zones.clock.advance(Duration::from_secs(20));
    assert_eq!(ages(), (20, 0), "an unchanged policy has no invalidation age");
    zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(ages(), (0, 0), "confirmed without a change");

    script.fails();
    zones.clock.advance(Duration::from_secs(5));
    invalidate(&zones.revocations, "v2");
    zones.clock.advance(Duration::from_secs(10));
    let _ = zones.policies.refresh(ZONE).await.unwrap();
    invalidate(&zones.revocations, "v3");
    zones.clock.advance(Duration::from_secs(2));
    assert_eq!(ages(), (17, 12), "an error confirms nothing");
    script.holds(bundle("v2"));
    zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(ages(), (17, 12), "v2 is not v3");
    script.holds(bundle("v3"));
    zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(ages(), (0, 0));
    // Time in which the machine was suspended counts too.
    zones.clock.advance_wall(Duration::from_secs(9));
    assert_eq!(ages(), (9, 0));
}

#[tokio::test(start_paused = true)]
async fn failing_source_keeps_policy_until_its_age_bound() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.fails();
    zones.policies.refresh(ZONE).await.unwrap();
    zones.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
    zones.clock.advance(Duration::from_secs(1));
    assert_eq!(
        zones.unusable().await,
        PolicyUnavailable::Unconfirmed { age: Duration::from_secs(301) }
    );
    script.holds(bundle("v1"));
    zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
}

#[tokio::test(start_paused = true)]
async fn open_invalidation_denies_beyond_its_bound() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.fails();
    invalidate(&zones.revocations, "v2");
    zones.clock.advance(Duration::from_secs(60));
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
    zones.clock.advance(Duration::from_secs(1));
    assert_eq!(
        zones.unusable().await,
        PolicyUnavailable::Invalidated { age: Duration::from_secs(61) }
    );
}

#[tokio::test(start_paused = true)]
async fn denies_zone_whose_policy_is_missing_or_removed() {
    let script = Script::new();
    let zones = with(&script, |_| {});
    assert_eq!(zones.unusable().await, PolicyUnavailable::NoPolicy);
    script.holds(bundle("v1"));
    zones.policies.refresh(ZONE).await.unwrap();
    zones.decided_by().await.unwrap();
    script.holds_nothing();
    zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(zones.unusable().await, PolicyUnavailable::NoPolicy);
}

#[tokio::test(start_paused = true)]
async fn rejects_wrong_or_missing_digest() {
    let script = Script::new();
    script.holds(bundle("v1").with_digest("0".repeat(64)));
    let zones = with(&script, |_| {});
    assert_eq!(zones.unusable().await, PolicyUnavailable::NotLoaded);
    assert_eq!(status(&zones.policies).trouble, Some(LoadFailure::WrongDigest));
    script.holds(PolicyBundle::new("v1"));
    let refreshed = zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(refreshed.trouble, Some(LoadFailure::NoDigest));

    let zones = with(&script, |options| options.insecure_accept_undigested = true);
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
    script.holds(bundle("v2").with_digest("x"));
    let refreshed = zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(refreshed.trouble, Some(LoadFailure::WrongDigest));
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
}

/// SHA-256 of `[{"policy_version_id":"pv-1"}]`.
const MANIFEST: &str = "91b75ab3559277a91e4c37e18e60a405963aa4893f36d8e237f7907a79763f97";

#[tokio::test(start_paused = true)]
async fn accepts_manifest_digest() {
    let script = Script::new();
    let manifest = serde_json::json!([{ "policy_version_id": "pv-1" }]);
    let incomplete = PolicyBundle::new("psv-1").with_manifest(manifest, MANIFEST);
    script.holds(incomplete.clone());
    let zones = with(&script, |_| {});
    assert_eq!(zones.unusable().await, PolicyUnavailable::NotLoaded);
    assert_eq!(status(&zones.policies).trouble, Some(LoadFailure::WrongDigest));
    script.holds(incomplete.clone().with_module("pv-1.rego", "package a"));
    zones.policies.refresh(ZONE).await.unwrap();
    let decision = zones.policies.decide(input()).await.unwrap();
    assert_eq!((&*decision.version, &*decision.digest), ("psv-1", MANIFEST));
    // The digest is the same, but the policy differs: it is loaded.
    script.holds(incomplete.with_module("pv-1.rego", "a").with_module("broken", ""));
    let refreshed = zones.policies.refresh(ZONE).await.unwrap();
    assert_eq!(refreshed.trouble, Some(LoadFailure::Broken));
}

#[tokio::test(start_paused = true)]
async fn broken_bundle_keeps_last_good_or_denies_as_configured() {
    for kept in [InvalidBundle::KeepLastGood, InvalidBundle::Deny] {
        let script = Script::new();
        script.holds(bundle("v1"));
        let zones = with(&script, |options| options.broken_bundle = kept);
        zones.decided_by().await.unwrap();
        script.holds(broken("v2"));
        invalidate(&zones.revocations, "v2");
        eventually("the bundle is tried", || {
            status(&zones.policies).trouble == Some(LoadFailure::Broken)
        })
        .await;
        // A further error of the source changes nothing.
        script.fails();
        zones.policies.refresh(ZONE).await.unwrap();
        match kept {
            InvalidBundle::KeepLastGood => assert_eq!(zones.decided_by().await.unwrap(), "v1"),
            InvalidBundle::Deny => assert_eq!(zones.unusable().await, PolicyUnavailable::Broken),
        }
        script.holds(sealed(PolicyBundle::new("v2")));
        eventually("v2", || serves(&zones.policies, "v2")).await;
        assert_eq!(zones.decided_by().await.unwrap(), "v2");
    }
}

#[tokio::test(start_paused = true)]
async fn loaded_zone_never_waits_for_a_load() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |options| options.load_timeout = Duration::from_secs(3_600));
    zones.decided_by().await.unwrap();
    let _closed = script.gate();
    invalidate(&zones.revocations, "v2");
    eventually("the load has started", || script.loads() == 2).await;
    let decision = zones.policies.decide(input());
    let mut decision = std::pin::pin!(decision);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(decision) = decision.as_mut().poll(&mut cx) else {
        panic!("the request waits for the load");
    };
    assert_eq!(&*decision.unwrap().version, "v1");
}

#[tokio::test(start_paused = true)]
async fn hung_source_is_an_error_after_the_timeout() {
    let script = Script::new();
    let _closed = script.gate();
    let zones = with(&script, |_| {});
    assert_eq!(zones.unusable().await, PolicyUnavailable::NotLoaded);
    tokio::time::sleep(Duration::from_secs(10)).await;
    eventually("the load times out", || {
        status(&zones.policies).trouble == Some(LoadFailure::SourceTimeout)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn removes_unused_zone_and_reloads_it_on_request() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    zones.clock.advance(Duration::from_secs(14 * 60));
    zones.policies.refresh(ZONE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(zones.policies.status(ZONE).is_some(), "the zone was just used");
    zones.clock.advance(Duration::from_secs(16 * 60));
    eventually("the zone is removed", || zones.policies.status(ZONE).is_none()).await;
    let loads = script.loads();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(script.loads(), loads, "a removed zone is not loaded");
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
}

#[tokio::test(start_paused = true)]
async fn denies_zones_beyond_the_bound() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |options| options.max_zones = 2);
    for zone in ["a", "b"] {
        zones.policies.decide(input_in(zone)).await.unwrap();
    }
    let third = zones.policies.decide(input_in("c")).await;
    assert_eq!(third.unwrap_err(), PolicyUnavailable::TooManyZones.into());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_stops_loading() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    drop(zones.policies);
    let loads = script.loads();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(script.loads(), loads);
}

#[tokio::test(start_paused = true)]
async fn panic_in_source_or_engine_is_an_error_and_retried() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.panics(true);
    invalidate(&zones.revocations, "v2");
    eventually("the source fails", || status(&zones.policies).trouble == Some(LoadFailure::Source))
        .await;
    script.panics(false);
    script.holds(sealed(PolicyBundle::new("v2").with_data(serde_json::json!({ "panic": true }))));
    eventually("the engine fails", || status(&zones.policies).trouble == Some(LoadFailure::Engine))
        .await;
    assert_eq!(zones.decided_by().await.unwrap(), "v1");
    script.holds(bundle("v2"));
    eventually("v2", || serves(&zones.policies, "v2")).await;
}

#[tokio::test(start_paused = true)]
async fn flood_of_invalidations_does_not_delay_the_next_attempt() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    script.fails();
    let before = script.loads();
    for n in 0..1_000 {
        invalidate(&zones.revocations, &format!("v{n}"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Ten seconds with backoffs of 50 to 100 ms.
    let loads = script.loads() - before;
    assert!((90..=220).contains(&loads), "{loads}");
}

#[tokio::test(start_paused = true)]
async fn spaces_out_loads_on_demand() {
    let script = Script::new();
    script.holds(bundle("v1"));
    let zones = with(&script, |_| {});
    zones.decided_by().await.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        zones.policies.refresh(ZONE).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
