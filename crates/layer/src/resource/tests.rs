//! Tests of the resource layer, request by request, with real keys from a real port.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use caracal_revocation_event::{DelegationEvent, KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_mandate::{Mandate, Use, Verifier};
use caracal_revocation_state::{Admission, ManualClock, Options, Revocations, RevocationsWriter};
use caracal_test_support::signing_key::SigningKey;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::{GatewayLayer, GuardedRequestBody, RequestDenial, RequestDenialKind, ResourceLayer};

mod answers;
mod optional;
mod single_use;

const ZONE: &str = "z-1";
const AUDIENCE: &str = "https://api.example";

struct World {
    issuer: String,
    key: SigningKey,
    revocations: RevocationsWriter,
    verifier: Verifier,
    /// The document of the keys, or a replacement for it.
    document: Arc<Mutex<String>>,
}

impl World {
    async fn new() -> Self {
        let key = SigningKey::new("k1");
        let document = Arc::new(Mutex::new(json!({ "keys": [key.jwk()] }).to_string()));
        let served = Arc::clone(&document);
        let answer = axum::routing::get(async move || served.lock().unwrap().clone());
        let app = axum::Router::new().route("/.well-known/jwks.json", answer);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock);
        revocations.confirm(revocations.now());
        let verifier = verifier(&issuer, &revocations, Use::Resource);
        Self { issuer, key, revocations, verifier, document }
    }

    fn layer(&self) -> ResourceLayer {
        ResourceLayer::new(self.verifier.clone())
    }

    fn claims(&self) -> Value {
        let now = self.revocations.now().wall.as_secs();
        json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "agent-1", "sub_type": "application",
            "use": "resource", "client_id": "client-1", "jti": "jti-1", "zone_id": ZONE,
            "sid": "ar-1", "root_sid": "ar-0", "iat": now, "exp": now + 600,
            "scope": "orders:read", "target": ["orders"], "agent_session_id": "gs-1",
            "delegation_edge_id": "de-1", "delegation_path": ["de-0", "de-1"], "hop_count": 2,
            "delegation_chain": [
                {"application_id": "app-0", "agent_session_id": "gs-0", "delegation_edge_id": "de-0"},
            ],
            "delegation_graph_epoch": 5,
        })
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.sign(claims)
    }

    fn good(&self) -> String {
        self.sign(&self.claims())
    }

    fn apply(&self, builder: MessageBuilder) {
        let stream = builder.stream();
        let fields = builder.into_fields(None, std::time::SystemTime::now());
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let message = Message::new(stream, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        self.revocations.apply(&event, self.revocations.now());
    }
}

fn verifier(issuer: &str, revocations: &Revocations, usage: Use) -> Verifier {
    Verifier::builder(issuer, ZONE, AUDIENCE)
        .with_uses(&[usage])
        .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
        .build(revocations)
        .unwrap()
}

async fn send<L>(layer: &L, token: Option<&str>) -> Response<Bytes>
where
    L: Layer<Inner, Service = crate::Guarded<Inner>>,
{
    send_all(layer, token.as_slice()).await
}

/// Sends a request with one `Authorization` header for each token.
async fn send_all<L>(layer: &L, tokens: &[&str]) -> Response<Bytes>
where
    L: Layer<Inner, Service = crate::Guarded<Inner>>,
{
    let mut request = Request::new(());
    for token in tokens {
        request.headers_mut().append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    request.headers_mut().insert("x-request-id", "req-1".parse().unwrap());
    let service = layer.layer(service_fn(inner as fn(_) -> _));
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

type Inner = tower::util::ServiceFn<
    fn(
        Request<GuardedRequestBody<()>>,
    ) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>,
>;

/// The service, which fails without the mandate and the proof.
fn inner(
    request: Request<GuardedRequestBody<()>>,
) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let mandate = request.extensions().get::<Mandate>().expect("a mandate");
    assert!(request.extensions().get::<Admission>().is_some());
    std::future::ready(Ok(Response::new(Full::from(mandate.claims().sid.to_string()))))
}

fn kind(response: &Response<Bytes>) -> Option<RequestDenialKind> {
    response.extensions().get::<RequestDenial>().map(RequestDenial::kind)
}

fn status_and_error(response: &Response<Bytes>) -> (u16, String) {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["requestId"], "req-1");
    assert!(body["error_hint"].is_string(), "{body}");
    assert_eq!(response.headers()["x-request-id"], "req-1");
    (response.status().as_u16(), body["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn valid_mandate_passes_at_first_and_from_cache() {
    let world = World::new().await;
    // Each signature makes another token, so the repeat sends the same text.
    let token = world.good();
    for _ in 0..3 {
        let response = send(&world.layer(), Some(&token)).await;
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, &b"ar-1"[..]));
    }
}

#[tokio::test]
async fn two_authorization_headers_are_denied_with_and_without_cache() {
    let world = World::new().await;
    let (good, layer) = (world.good(), world.layer());
    for is_cached in [false, true] {
        for tokens in [[good.as_str(), "a.b.c"], ["a.b.c", &good], [&good, &good]] {
            let response = send_all(&layer, &tokens).await;
            assert_eq!(kind(&response), Some(RequestDenialKind::AmbiguousToken), "{is_cached}");
            assert_eq!(status_and_error(&response), (401, "invalid_token".to_owned()));
        }
        assert_eq!(send(&layer, Some(&good)).await.status(), 200);
    }
}

#[tokio::test]
async fn each_revocation_has_its_answer_with_and_without_cache() {
    let at = |text: &str| OccurredAt::parse(text).unwrap();
    let revoke = || MessageBuilder::revoke(ZONE, "operator");
    let suspension = at("2026-11-20T10:00:00.000Z");
    let edge = |event, edges: &[&str], epoch| MessageBuilder::delegation(ZONE, event, edges, epoch);
    let cases: Vec<(&str, MessageBuilder, RequestDenialKind, &str)> = vec![
        ("sid", revoke().session("ar-1"), RequestDenialKind::Revoked, "session_revoked"),
        ("root_sid", revoke().root("ar-0"), RequestDenialKind::Revoked, "session_revoked"),
        ("session", revoke().agent_session("gs-1"), RequestDenialKind::Revoked, "session_revoked"),
        ("edge", revoke().delegation_edge("de-1"), RequestDenialKind::Revoked, "session_revoked"),
        (
            "hop's session",
            revoke().agent_session("gs-0"),
            RequestDenialKind::Revoked,
            "session_revoked",
        ),
        (
            "hop's edge",
            revoke().delegation_edge("de-0"),
            RequestDenialKind::Revoked,
            "session_revoked",
        ),
        (
            "terminate",
            MessageBuilder::terminate(ZONE, "gs-1"),
            RequestDenialKind::Revoked,
            "session_revoked",
        ),
        (
            "suspend",
            MessageBuilder::suspend(ZONE, "gs-1", suspension),
            RequestDenialKind::Suspended,
            "session_revoked",
        ),
        (
            "edge_revoke",
            edge(DelegationEvent::Revoke, &["de-1"], 1),
            RequestDenialKind::Revoked,
            "session_revoked",
        ),
        (
            "edge_expire",
            edge(DelegationEvent::Expire, &["de-7", "de-0"], 1),
            RequestDenialKind::Revoked,
            "session_revoked",
        ),
        (
            "epoch",
            edge(DelegationEvent::Create, &["de-9"], 6),
            RequestDenialKind::DelegationStale,
            "delegation_stale",
        ),
    ];
    for (way, builder, reason, code) in cases {
        for seen_before in [false, true] {
            let world = World::new().await;
            let token = world.good();
            if seen_before {
                assert_eq!(send(&world.layer(), Some(&token)).await.status(), 200);
                assert!(world.verifier.cached(&token).is_some());
            }
            world.apply(builder.clone());
            let response = send(&world.layer(), Some(&token)).await;
            assert_eq!(kind(&response), Some(reason), "{way}");
            assert_eq!(status_and_error(&response), (401, code.to_owned()), "{way}");
        }
    }
}

#[tokio::test]
async fn invalidated_keys_end_mandates_verified_with_them() {
    let world = World::new().await;
    let token = world.good();
    assert_eq!(send(&world.layer(), Some(&token)).await.status(), 200);
    *world.document.lock().unwrap() = "away".into();
    assert_eq!(send(&world.layer(), Some(&token)).await.status(), 200);
    world.apply(MessageBuilder::keys(ZONE));
    let response = send(&world.layer(), Some(&token)).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::KeysUnavailable));
    assert_eq!(status_and_error(&response), (503, "sts_unavailable".to_owned()));
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn outage_never_looks_like_revoked_session() {
    let world = World::new().await;
    let unproven = RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    let layer = ResourceLayer::new(verifier(&world.issuer, &unproven, Use::Resource));
    let response = send(&layer, Some(&world.good())).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::Unknown));
    assert_eq!(status_and_error(&response), (503, "sts_unavailable".to_owned()));
}

#[tokio::test]
async fn only_ended_delegations_ignores_new_ones() {
    let world = World::new().await;
    world.apply(MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-9"], 6));
    let layer = world.layer().only_ended_delegations();
    assert_eq!(send(&layer, Some(&world.good())).await.status(), 200);
    assert_eq!(
        send(&world.layer().without_delegation_epoch(), Some(&world.good())).await.status(),
        200
    );
    world.apply(MessageBuilder::delegation(ZONE, DelegationEvent::Revoke, &["de-9"], 7));
    assert_eq!(
        kind(&send(&layer, Some(&world.good())).await),
        Some(RequestDenialKind::DelegationStale)
    );
}

#[tokio::test]
async fn gateway_with_verifier_has_its_own_answers() {
    let world = World::new().await;
    let verifier = verifier(&world.issuer, &world.revocations, Use::Gateway);
    let layer = GatewayLayer::new(world.revocations.reader()).with_verifier(verifier);
    let mut claims = world.claims();
    claims["use"] = json!("gateway");
    claims["hop_count"] = json!(99);
    let token = world.sign(&claims);
    assert_eq!(send(&layer, Some(&token)).await.status(), 200);
    let response = send(&layer, Some(&world.good())).await;
    assert_eq!(kind(&response), Some(RequestDenialKind::InvalidMandate));
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((&body["error"], &body["error_hint"]), (&json!("invalid_token"), &Value::Null));
    world.apply(MessageBuilder::revoke(ZONE, "operator").session("ar-1"));
    let response = send(&layer, Some(&token)).await;
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        (&body["error"], &body["error_description"]),
        (&json!("invalid_token"), &json!("session revoked"))
    );
}

#[tokio::test]
async fn claims_in_extensions_do_not_replace_verification() {
    let world = World::new().await;
    let service = world.layer().layer(service_fn(inner as fn(_) -> _));
    let mut request = Request::new(());
    request.extensions_mut().insert(caracal_revocation_state::Claims::new(
        "ar-1",
        1_795_400_000,
        1_795_403_600,
    ));
    let response: Response<_> = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 401);
}
