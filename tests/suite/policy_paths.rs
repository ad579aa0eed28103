//! Policies and handlers see the same path, on real sockets, with requests sent byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use caracal_revocation::policy::{
    BuildInput, ClaimsInput, InvalidInput, PolicyBundle, PolicyInput, PolicyLayer, PolicyRequest,
    PolicySource, RegoEngine, RequestFacts, Resource, SourceError, ZonePolicies,
};
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::{Claims, GatewayLayer};
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::util::MapRequestLayer;

use crate::live::ZONE;

/// A policy that denies one file by its path.
struct NoSecrets;

impl PolicySource for NoSecrets {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let module = r#"package caracal.authz
            import rego.v1
            result := {"decision": "allow", "evaluation_status": "complete",
                "determining_policies": [], "diagnostics": []} if {
                input.action.path != "/api/files/secret"
                input.action.segments != ["api", "files", "secret"]
            }
            else := {"decision": "deny", "evaluation_status": "complete",
                "determining_policies": [], "diagnostics": []}"#;
        let bundle = PolicyBundle::new("v1").with_module("authz.rego", module);
        let digest = bundle.compute_digest();
        Ok(Some(bundle.with_digest(digest)))
    }
}

/// Builds the policy input and records its action.
#[derive(Clone)]
struct Recording(ClaimsInput, Arc<Mutex<Vec<Value>>>);

impl BuildInput for Recording {
    fn build(&self, request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> {
        let input = self.0.build(request)?;
        self.1.lock().unwrap().push(input.as_value()["action"].clone());
        Ok(input)
    }
}

struct World {
    address: SocketAddr,
    actions: Arc<Mutex<Vec<Value>>>,
}

impl World {
    /// Serves the same files three times: with the policy layer in a nest, around it, and on the
    /// route.
    async fn start() -> Self {
        let revocations = RevocationsWriter::new(Options::default());
        revocations.confirm(revocations.now());
        let now = i64::try_from(revocations.now().wall.as_secs()).unwrap();
        let mut claims = Claims::new("ar-1", now, now + 900);
        claims.zone_id = Some(ZONE.into());
        let policies = ZonePolicies::new(revocations.reader(), NoSecrets, RegoEngine::new());
        let actions = Arc::<Mutex<Vec<Value>>>::default();
        let input = ClaimsInput::new(Resource::new("api", "r-1", "https://api.example"));
        let policy = PolicyLayer::new(policies, Recording(input, Arc::clone(&actions)));
        let name = || get(async |Path(name): Path<String>| name);
        let files = || Router::new().route("/files/{name}", name());
        let app = Router::new()
            .nest("/api", files().layer(policy.clone()))
            .nest("/around", Router::new().nest("/api", files()).layer(policy.clone()))
            .nest("/route", Router::new().route("/{*path}", name().layer(policy)))
            .layer(GatewayLayer::new(revocations.reader()))
            .layer(MapRequestLayer::new(move |mut request: Request<Body>| {
                request.extensions_mut().insert(claims.clone());
                request
            }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, actions }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn last_action(&self) -> Value {
        self.actions.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn denies_path_in_every_spelling() {
    let world = World::start().await;
    assert_eq!(world.get("/api/files/open").await, (200, "open".to_owned()));
    for path in [
        "/api/files/secret",
        "/api/files/%73ecret",
        "/api/files/%73%65%63%72%65%74",
        "/api/files/secret?x=%2F",
    ] {
        let (status, body) = world.get(path).await;
        assert_eq!(status, 403, "{path} {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error_description"], "denied by policy", "{path}");
    }
}

#[tokio::test]
async fn nested_policies_see_the_full_path_and_route() {
    let world = World::start().await;
    for (path, segments, route) in [
        ("/api/files/a%20b", json!(["api", "files", "a b"]), "/api/files/{name}"),
        ("/around/api/files/x", json!(["around", "api", "files", "x"]), "/around/api/files/{name}"),
        ("/route/any/%78/", json!(["route", "any", "x"]), "/route/{*path}"),
    ] {
        assert_eq!(world.get(path).await.0, 200, "{path}");
        let action = world.last_action();
        assert_eq!(action["segments"], segments, "{path}");
        assert_eq!(action["route"], route, "{path}");
        assert_eq!(action["method"], "GET");
    }
    assert_eq!(world.last_action()["path"], "/route/any/x/");
}

#[tokio::test]
async fn rejects_ambiguous_paths_before_the_policy() {
    let world = World::start().await;
    for path in [
        "/route/files%2Fsecret",
        "/route/files%5csecret",
        "/route/%00secret",
        "/route/files/../secret",
        "/route/files/%2e%2e/secret",
        "/route/%2573ecret",
        "/route/%C0%AFsecret",
        "/route/%zz",
        "/route/files//secret",
        "/api/files/..%2fsecret",
        "/around/api/files/%2e%2e",
    ] {
        let (status, body) = world.get(path).await;
        assert_eq!(status, 400, "{path} {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"], "invalid_request", "{path}");
    }
    assert!(world.actions.lock().unwrap().is_empty(), "a policy was evaluated");
}
