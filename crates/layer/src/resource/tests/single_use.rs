//! Tests of a gateway that admits each mandate once, with a record in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use caracal_revocation_mandate::Requirements;
use caracal_revocation_state::{Claims, LEEWAY, UseFuture, UseOutcome, UseRecord, UseRecordError};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;

/// A use as the layer asked for it: the mandate, the request and the time to live.
type Asked = (String, String, Duration);

/// A record whose failures the test controls.
#[derive(Clone, Debug, Default)]
struct Record(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: Mutex<Vec<Asked>>,
    fails: AtomicBool,
    /// An authority record that is revoked while the use is being recorded.
    revokes: Mutex<Option<World>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl Record {
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.0.asked.lock().unwrap())
    }
}

impl UseRecord for Record {
    fn record<'a>(&'a self, id: &'a str, request: &'a str, kept: Duration) -> UseFuture<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.0.fails.load(Ordering::SeqCst) {
                return Err(UseRecordError::new("away"));
            }
            if let Some(world) = &*self.0.revokes.lock().unwrap() {
                world.apply(MessageBuilder::revoke(ZONE, "operator").session("ar-1"));
            }
            let mut asked = self.0.asked.lock().unwrap();
            let is_new = asked.iter().all(|(other, _, _)| other != id);
            asked.push((id.to_owned(), request.to_owned(), kept));
            Ok(if is_new { UseOutcome::First } else { UseOutcome::Replayed })
        })
    }
}

/// Returns a gateway for mandates of every use.
fn gateway(world: &World, record: &Record) -> GatewayLayer {
    let verifier = Verifier::builder(&world.issuer, ZONE, AUDIENCE)
        .with_uses(&[Use::Session, Use::Gateway, Use::Resource])
        .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
        .build(&world.revocations)
        .unwrap();
    GatewayLayer::new(world.revocations.clone())
        .with_verifier(verifier)
        .with_single_use(record.clone())
}

fn of_use(world: &World, usage: &str, id: &str) -> String {
    let mut claims = world.claims();
    (claims["use"], claims["jti"]) = (json!(usage), json!(id));
    world.sign(&claims)
}

#[tokio::test]
async fn admits_each_mandate_once_at_first_and_from_cache() {
    let (world, record) = (World::new().await, Record::default());
    let layer = gateway(&world, &record);
    for usage in ["gateway", "resource"] {
        let token = of_use(&world, usage, usage);
        assert_eq!(send(&layer, Some(&token)).await.status(), 200);
        for _ in 0..2 {
            let response = send(&layer, Some(&token)).await;
            assert_eq!(kind(&response), Some(RequestDenialKind::Replayed));
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(
                (response.status().as_u16(), &body["error"]),
                (401, &json!("invalid_token"))
            );
            assert_eq!(body["error_description"], "token was already used");
        }
        // Another signature makes another token of the same mandate.
        let again = send(&layer, Some(&of_use(&world, usage, usage))).await;
        assert_eq!(kind(&again), Some(RequestDenialKind::Replayed));
    }
    let asked = record.asked();
    assert_eq!(asked.len(), 8);
    // Valid for 600 seconds; see `USE_KEPT`.
    let expected =
        ("gateway".to_owned(), "req-1".to_owned(), Duration::from_secs(600) + 3 * LEEWAY);
    assert_eq!(asked[0], expected);
}

#[tokio::test]
async fn session_mandates_and_anonymous_requests_are_not_recorded() {
    let (world, record) = (World::new().await, Record::default());
    record.0.fails.store(true, Ordering::SeqCst);
    let layer = gateway(&world, &record);
    let token = of_use(&world, "session", "s-1");
    for _ in 0..3 {
        assert_eq!(send(&layer, Some(&token)).await.status(), 200);
    }
    let anonymous = tower::service_fn(async |_: Request<GuardedRequestBody<()>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let response = layer.allow_anonymous().layer(anonymous).oneshot(Request::new(())).await;
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn denied_requests_are_not_recorded() {
    let (world, record) = (World::new().await, Record::default());
    let strict = Requirements::new().scope("orders:write");
    let token = of_use(&world, "gateway", "g-1");
    let response = send(&gateway(&world, &record).require(strict), Some(&token)).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::InsufficientScope));
    world.apply(MessageBuilder::revoke(ZONE, "operator").session("ar-1"));
    let response = send(&gateway(&world, &record), Some(&token)).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::Revoked));
    assert_eq!(record.asked(), []);
}

#[tokio::test]
async fn outage_of_record_denies_unless_layer_fails_open() {
    let (world, record) = (World::new().await, Record::default());
    record.0.fails.store(true, Ordering::SeqCst);
    let token = of_use(&world, "gateway", "g-1");
    let layer = gateway(&world, &record);
    let response = send(&layer, Some(&token)).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::UseUnknown));
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(send(&layer.insecure_fail_open_single_use(), Some(&token)).await.status(), 200);
    record.0.fails.store(false, Ordering::SeqCst);
    let open = gateway(&world, &record).insecure_fail_open_single_use();
    assert_eq!(send(&open, Some(&token)).await.status(), 200);
    let response = send(&open, Some(&token)).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::Replayed));
}

#[tokio::test]
async fn counts_uses_that_were_admitted_without_the_record() {
    let (world, record) = (World::new().await, Record::default());
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let layer = metrics::with_local_recorder(&recorder, || {
        gateway(&world, &record).insecure_fail_open_single_use()
    });
    for (id, fails, expected) in [("g-1", false, 0), ("g-2", true, 1)] {
        record.0.fails.store(fails, Ordering::SeqCst);
        let response = send(&layer, Some(&of_use(&world, "gateway", id))).await;
        assert_eq!(response.status(), 200);
        let counted = snapshotter.snapshot().into_vec().into_iter().find_map(|(key, .., value)| {
            let is_it = key.key().name() == "caracal_gateway_failed_open_total"
                && key.key().labels().any(|label| label.value() == "use_unknown");
            is_it.then_some(value)
        });
        assert_eq!(counted, Some(DebugValue::Counter(expected)), "{id}");
    }
}

#[tokio::test]
async fn denies_mandate_revoked_while_its_use_is_recorded() {
    let (world, record) = (World::new().await, Record::default());
    let (layer, token) = (gateway(&world, &record), of_use(&world, "gateway", "g-1"));
    *record.0.revokes.lock().unwrap() = Some(world);
    let called = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&called);
    let service = layer.layer(service_fn(move |_: Request<GuardedRequestBody<()>>| {
        seen.store(true, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    let reason = response.extensions().get::<RequestDenial>().map(RequestDenial::kind);
    assert_eq!(reason, Some(RequestDenialKind::Revoked));
    assert!(!called.load(Ordering::SeqCst), "the service was called");
    assert_eq!(record.asked().len(), 1);
}

#[tokio::test]
async fn token_without_verified_mandate_is_denied() {
    let (world, record) = (World::new().await, Record::default());
    let layer = GatewayLayer::new(world.revocations.clone()).with_single_use(record.clone());
    let inner = tower::service_fn(async |_: Request<GuardedRequestBody<()>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let denied = async |layer: GatewayLayer, request| {
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        response.extensions().get::<RequestDenial>().map(RequestDenial::kind)
    };
    // Claims that another layer verified hold no `jti`.
    let now = i64::try_from(world.revocations.now().wall.as_secs()).unwrap();
    let mut request = Request::new(());
    request.extensions_mut().insert(Claims::new("ar-1", now, now + 600));
    let reason = denied(layer.clone(), request).await;
    assert_eq!(reason, Some(RequestDenialKind::UnverifiedToken));
    let token = of_use(&world, "gateway", "g-1");
    let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
    let unverified = layer.with_insecure_unverified_claims();
    let reason = denied(unverified, request.body(()).unwrap()).await;
    assert_eq!(reason, Some(RequestDenialKind::UnverifiedToken));
    assert_eq!(record.asked(), []);
}

#[tokio::test]
async fn mandate_that_an_outer_layer_verified_is_admitted_once() {
    let (world, record) = (World::new().await, Record::default());
    let outer = ResourceLayer::new(world.verifier.clone());
    let once = GatewayLayer::new(world.revocations.clone()).with_single_use(record.clone());
    let inner = tower::service_fn(async |request: Request<_>| {
        let _: Request<GuardedRequestBody<GuardedRequestBody<()>>> = request;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = outer.layer(once.layer(inner));
    let token = world.good();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}"));
        let response = service.clone().oneshot(request.body(()).unwrap()).await.unwrap();
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn observing_layer_records_nothing() {
    let (world, record) = (World::new().await, Record::default());
    let layer = gateway(&world, &record).insecure_observe_only();
    let token = of_use(&world, "gateway", "g-1");
    for _ in 0..2 {
        assert_eq!(send(&layer, Some(&token)).await.status(), 200);
    }
    assert_eq!(record.asked(), []);
}
