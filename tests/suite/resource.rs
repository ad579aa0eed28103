//! A resource server end to end: mandates of a real issuer, keys over HTTP, and every way to
//! revoke, from a signed message in a real Redis to the HTTP answer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use caracal_revocation::wire::{DelegationEvent, MessageBuilder, OccurredAt};
use caracal_revocation::{Publisher, ResourceLayer, Revocations, Verifier};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::issuer::Issuer;
use crate::live::{ZONE, caught_up, eventually, follow, follow_within, publisher};
use crate::redis_server::RedisServer;
use crate::service::{Seen, TestClient};

const AUDIENCE: &str = "https://orders.example";

struct World {
    issuer: Issuer,
    revocations: Revocations,
    publisher: Publisher,
    address: SocketAddr,
    client: TestClient,
    server: RedisServer,
}

impl World {
    async fn start() -> Self {
        let server = RedisServer::start();
        let revocations = follow(&server).await;
        Self::on(server, revocations).await
    }

    async fn on(server: RedisServer, revocations: Revocations) -> Self {
        let publisher = publisher(&server).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Issuer::new(&name, ZONE).unwrap();
        let keys = issuer.clone();
        let app = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let verifier = Verifier::builder(&name, ZONE, AUDIENCE).build(&revocations).unwrap();
        verifier.warm_up().await.unwrap();
        let layer = ResourceLayer::new(verifier);
        let app = Router::new().route("/", get(async || "orders")).layer(layer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = TestClient::http1();
        Self { issuer, revocations, publisher, address, client, server }
    }

    fn mint(&self, n: usize, more: &Value) -> String {
        self.issuer.mint(&format!("ar-{n}"), AUDIENCE, more).unwrap()
    }

    async fn request(&self, token: &str) -> Seen {
        self.client.request_with_token(self.address, token).await
    }

    async fn publish(&self, message: MessageBuilder) {
        self.publisher.publish(message).await.unwrap();
    }

    /// Returns once every published message has been applied.
    async fn caught_up(&self) {
        caught_up(&self.revocations, &self.publisher).await;
    }
}

/// Returns claims of a mandate with two delegations. Its ids contain `n`, so no two mandates share
/// one.
fn claims(n: usize) -> Value {
    json!({
        "root_sid": format!("root-{n}"), "agent_session_id": format!("gs-{n}"),
        "delegation_edge_id": format!("de-{n}"), "hop_count": 2,
        "delegation_path": [format!("path-{n}"), format!("de-{n}")],
        "delegation_chain": [{
            "application_id": "app-0", "agent_session_id": format!("hop-gs-{n}"),
            "delegation_edge_id": format!("hop-de-{n}"),
        }],
    })
}

/// A message that revokes only the mandate with this number.
type Way = Box<dyn Fn(usize) -> MessageBuilder>;

fn status_and_error(seen: &Seen) -> (u16, String) {
    let body = seen.json();
    assert!(body["error_hint"].is_string() && body["requestId"].is_string(), "{body}");
    (seen.status.as_u16(), body["error"].as_str().unwrap().to_owned())
}

fn at(text: &str) -> OccurredAt {
    OccurredAt::parse(text).unwrap()
}

#[tokio::test]
async fn denies_over_http_after_each_way_to_revoke() {
    let world = World::start().await;
    fn revoke() -> MessageBuilder {
        MessageBuilder::revoke(ZONE, "operator")
    }
    fn edge(event: DelegationEvent, edges: &[&str]) -> MessageBuilder {
        MessageBuilder::delegation(ZONE, event, edges, 1)
    }
    let suspended = at("2026-11-20T10:00:00.000Z");
    let ways: Vec<(&str, Way)> = vec![
        ("session_id", Box::new(|n| revoke().session(&format!("ar-{n}")))),
        ("sid", Box::new(|n| revoke().with("sid", &format!("ar-{n}")))),
        ("root_sid", Box::new(|n| revoke().root(&format!("root-{n}")))),
        ("agent_session_id", Box::new(|n| revoke().agent_session(&format!("gs-{n}")))),
        ("delegation_edge_id", Box::new(|n| revoke().delegation_edge(&format!("de-{n}")))),
        ("edge_id", Box::new(|n| revoke().with("edge_id", &format!("de-{n}")))),
        ("a hop's session", Box::new(|n| revoke().agent_session(&format!("hop-gs-{n}")))),
        ("a hop's delegation", Box::new(|n| revoke().delegation_edge(&format!("hop-de-{n}")))),
        ("the path", Box::new(|n| revoke().delegation_edge(&format!("path-{n}")))),
        ("edge_revoke", Box::new(|n| edge(DelegationEvent::Revoke, &[&format!("de-{n}")]))),
        (
            "edge_expire",
            Box::new(|n| edge(DelegationEvent::Expire, &["other", &format!("hop-de-{n}")])),
        ),
        (
            "suspend",
            Box::new(move |n| MessageBuilder::suspend(ZONE, &format!("gs-{n}"), suspended)),
        ),
        (
            "suspend, of a hop",
            Box::new(move |n| MessageBuilder::suspend(ZONE, &format!("hop-gs-{n}"), suspended)),
        ),
        (
            "suspend, on sessions.revoke",
            Box::new(move |n| {
                let key = format!("agent_suspend:gs-{n}:{suspended}");
                revoke().agent_session(&format!("gs-{n}")).with("dedupe_key", &key)
            }),
        ),
        ("terminate, alone", Box::new(|n| MessageBuilder::terminate(ZONE, &format!("gs-{n}")))),
    ];
    let tokens: Vec<_> = (0..ways.len()).map(|n| world.mint(n, &claims(n))).collect();
    for token in &tokens {
        assert_eq!(world.request(token).await.status, StatusCode::OK);
    }
    for (n, (way, message)) in ways.iter().enumerate() {
        world.publish(message(n)).await;
        world.caught_up().await;
        assert_eq!(
            status_and_error(&world.request(&tokens[n]).await),
            (401, "session_revoked".into()),
            "{way}"
        );
        // A mandate that the verifier has not cached is denied too.
        let new = world.mint(n, &claims(n));
        assert_eq!(
            status_and_error(&world.request(&new).await),
            (401, "session_revoked".into()),
            "{way}"
        );
        for token in &tokens[n + 1..] {
            assert_eq!(
                world.request(token).await.status,
                StatusCode::OK,
                "{way} does not revoke it"
            );
        }
    }
}

#[tokio::test]
async fn resumed_session_is_admitted_with_new_mandates_only() {
    let world = World::start().await;
    // The issuer issues mandates with the current time, so the suspension must be earlier.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let ago = |seconds| OccurredAt::from_unix(now - Duration::from_secs(seconds)).unwrap();
    let (suspended, resumed) = (ago(600), ago(300));
    let old = json!({ "agent_session_id": "gs-1", "iat": suspended.floor_seconds() + 1 });
    let old = world.mint(1, &old);
    let new = world.mint(1, &json!({ "agent_session_id": "gs-1" }));
    world.publish(MessageBuilder::suspend(ZONE, "gs-1", suspended)).await;
    world.caught_up().await;
    for token in [&old, &new] {
        assert_eq!(status_and_error(&world.request(token).await), (401, "session_revoked".into()));
    }
    // The resume is decided after the suspension, by the clock of `outbox_id`.
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.publish(MessageBuilder::resume(ZONE, "gs-1", resumed)).await;
    world.caught_up().await;
    assert_eq!(status_and_error(&world.request(&old).await), (401, "session_revoked".into()));
    assert_eq!(world.request(&new).await.status, StatusCode::OK);
    world.publish(MessageBuilder::terminate(ZONE, "gs-1")).await;
    world.caught_up().await;
    assert_eq!(status_and_error(&world.request(&new).await), (401, "session_revoked".into()));
}

#[tokio::test]
async fn newer_delegation_epoch_makes_older_mandates_stale() {
    let world = World::start().await;
    let token = |epoch: u64| world.mint(1, &json!({ "delegation_graph_epoch": epoch }));
    let (of_none, of_six, of_seven) = (token(0), token(6), token(7));
    for epoch in [7, 5] {
        let event = DelegationEvent::Create;
        world.publish(MessageBuilder::delegation(ZONE, event, &["de-new"], epoch)).await;
        world.caught_up().await;
    }
    assert_eq!(status_and_error(&world.request(&of_six).await), (401, "delegation_stale".into()));
    assert_eq!(world.request(&of_seven).await.status, StatusCode::OK);
    assert_eq!(world.request(&of_none).await.status, StatusCode::OK);
}

#[tokio::test]
async fn key_rotation_denies_the_old_key_and_admits_the_new() {
    let world = World::start().await;
    let old = world.mint(1, &json!({}));
    assert_eq!(world.request(&old).await.status, StatusCode::OK);
    world.issuer.rotate().unwrap();
    assert_eq!(world.request(&old).await.status, StatusCode::OK, "no rotation was announced yet");
    let new = world.mint(1, &json!({}));
    world.publish(MessageBuilder::keys(ZONE)).await;
    world.caught_up().await;
    assert_eq!(status_and_error(&world.request(&old).await), (401, "invalid_token".into()));
    assert_eq!(world.request(&new).await.status, StatusCode::OK);
}

#[tokio::test]
async fn lost_redis_is_an_outage_not_a_revocation() {
    let server = RedisServer::start();
    let bound = Duration::from_secs(2);
    let revocations = follow_within(&server, bound).await;
    let mut world = World::on(server, revocations).await;
    let token = world.mint(1, &json!({}));
    assert_eq!(world.request(&token).await.status, StatusCode::OK);
    world.server.kill();
    let revocations = world.revocations.clone();
    eventually("the view is stale", || {
        revocations.staleness(revocations.now()).is_ok_and(|age| age > bound)
    })
    .await;
    let seen = world.request(&token).await;
    assert_eq!(status_and_error(&seen), (503, "sts_unavailable".into()));
    assert!(seen.header("retry-after").is_some());
}
