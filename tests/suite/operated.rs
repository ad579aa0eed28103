//! A running service with every source of metrics, and the exporter that shows them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use caracal_revocation::metrics::Exporter;
use caracal_revocation::policy::{
    ClaimsInput, PolicyBundle, PolicyInput, PolicyLayer, PolicyRequest, PolicySource, Principal,
    RegoEngine, Resource, SourceError, ZonePolicies,
};
use caracal_revocation::stream::{Canary, UsedMandates};
use caracal_revocation::{
    GatewayLayer, Operations, Publisher, ResourceLayer, Revocations, StsLayer, Verifier,
};
use http::StatusCode;
use tower::Layer;
use tower::util::MapRequestLayer;

use crate::live::{TIMEOUT, ZONE, eventually, follow, is_revoked, publisher, revoke, ring};
use crate::mandates::Issuer;
use crate::redis_server::RedisServer;
use crate::service::TestClient;

/// The bearer token of the scraper.
pub(crate) const BEARER: &str = "scrape-me";

/// A gateway that admits, denies and reports.
pub(crate) struct Operated {
    pub(crate) address: SocketAddr,
    pub(crate) redis: RedisServer,
    pub(crate) revocations: Revocations,
    publisher: Publisher,
    issuer: Issuer,
    client: TestClient,
}

impl Operated {
    pub(crate) async fn start() -> Self {
        let exporter = Exporter::install().expect("no other recorder in this process");
        let persistent = ["--appendonly", "yes", "--appendfsync", "always"];
        let redis = RedisServer::start_with(&persistent);
        let revocations = follow(&redis).await;
        let issuer = Issuer::new().unwrap();
        decide_policies(&revocations).await;
        // Layers export their counters once they exist, even without a request.
        let verifier = Verifier::builder("http://127.0.0.1:9", ZONE, "https://api.example");
        let _ = ResourceLayer::new(verifier.build(&revocations).unwrap()).layer(());
        let _ = StsLayer::new(revocations.clone());
        let _ = UsedMandates::new(&redis.settings(&ring()));

        let canary =
            Canary::new(&redis.settings(&ring())).every(Duration::from_millis(500)).spawn();
        let operations = Operations::new(revocations.clone())
            .with_metrics(move || exporter.render())
            .with_bearer(BEARER)
            .ready_if("canary", move || canary.is_alive());
        let authenticate = issuer.clone();
        let app = Router::new()
            .route("/", get(async || "hello"))
            .layer(GatewayLayer::new(revocations.clone()))
            .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)))
            .fallback_service(operations);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let publisher = publisher(&redis).await;
        Self { address, redis, revocations, publisher, issuer, client: TestClient::http1() }
    }

    /// Sends one admitted and one revoked request, and publishes one unsigned message.
    pub(crate) async fn work(&self, n: usize) {
        let session = format!("ar-{n}");
        let token = self.issuer.mint(&session).unwrap();
        assert_eq!(
            self.client.request_with_token(self.address, &token).await.status,
            StatusCode::OK
        );
        revoke(&self.publisher, &session).await;
        eventually("the session is revoked", || is_revoked(&self.revocations, &session)).await;
        let seen = self.client.request_with_token(self.address, &token).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
        let _: String = redis::cmd("XADD")
            .arg("caracal.sessions.revoke")
            .arg(&["*", "zone_id", ZONE, "sid", "forged"])
            .query_async(&mut self.redis.connection().await)
            .await
            .unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let bearer = format!("Bearer {BEARER}");
        let uri = format!("http://{}{path}", self.address);
        let seen = self.client.get(&uri, &[("authorization", &bearer)]).await;
        (seen.status, String::from_utf8(seen.body.to_vec()).unwrap())
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        Scrape(text)
    }
}

/// A scrape in Prometheus' text format.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    /// Returns the name and type of each metric.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
    }

    /// Returns the sum over all samples of this name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let samples = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let samples = samples.filter(|sample| sample.starts_with(['{', ' ']));
        samples.filter_map(|sample| sample.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Returns the value of a sample, written as in the text: `name{label="value"}`.
    pub(crate) fn value(&self, sample: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
    }
}

/// A policy for the only zone that exists.
struct Policies;

impl PolicySource for Policies {
    async fn load(&self, request: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        if request.zone() != ZONE {
            return Err(SourceError::new(std::io::Error::other("no such zone")));
        }
        let module = r#"package caracal.authz
            import rego.v1
            result := {"decision": "allow", "evaluation_status": "complete",
                "determining_policies": [], "diagnostics": []}"#;
        let bundle = PolicyBundle::new("v1").with_module("authz.rego", module);
        let digest = bundle.compute_digest();
        Ok(Some(bundle.with_digest(digest)))
    }
}

async fn decide_policies(revocations: &Revocations) {
    let policies = ZonePolicies::new(revocations.clone(), Policies, RegoEngine::new());
    let resource = || Resource::new("api", "r-1", "https://api.example");
    let input = |zone| {
        let principal = Principal::new("application", "app-1", zone);
        PolicyInput::new(&principal, &resource(), "read").unwrap()
    };
    policies.decide(input(ZONE)).await.unwrap();
    policies.decide(input("no-such-zone")).await.unwrap_err();
    let _ = PolicyLayer::new(policies, ClaimsInput::new(resource())).layer(());
}

/// Returns seconds since the Unix epoch.
pub(crate) fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

pub(crate) async fn wait_until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
