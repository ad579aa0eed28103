//! The application of each lane: hello world behind one layer or another.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum_jwt_auth::{Claims as JwtClaims, Decoder, LocalDecoder};
use caracal_revocation::{GatewayLayer, Revocations, Verifier};
use caracal_test_support::issuer::Issuer;
use caracal_test_support::tokens;
use http::StatusCode;
use jsonwebtoken_10::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

const TOKENS: u64 = 256;
const ZONE: &str = "z-1";
const AUDIENCE: &str = "https://api.example";

type Request = axum::extract::Request;

/// The application of one lane.
pub(crate) struct App {
    pub(crate) name: &'static str,
    /// The bearer token of each request.
    pub(crate) token: Option<String>,
    pub(crate) router: Router,
}

/// Returns the application of every lane.
pub(crate) async fn apps(revocations: Revocations) -> Vec<App> {
    let hello = || Router::new().route("/", get(async || "Hello, World!"));
    let claims = tokens::tokens(TOKENS, 0);
    let known: Vec<_> = claims.iter().map(|one| revocations.authority(one)).collect();
    let (claims, known) = (put_in(claims), put_in(known));
    let ours = GatewayLayer::new(revocations.clone());
    let stack = || ServiceBuilder::new().layer(claims.clone());
    let nothing = MapRequestLayer::new(|request: Request| request);
    let request_id = SetRequestIdLayer::x_request_id(MakeRequestUuid);
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(30));
    let (verifier, mandate) = verified(&revocations).await;
    let verifying = ours.clone().with_verifier(verifier);
    let (decoder, jwt) = jwt();
    let jwt_app = Router::new()
        .route("/", get(async |_: JwtClaims<Jwt>| "Hello, World!"))
        .with_state(decoder);
    let lanes = [
        ("claims", None, hello().layer(claims.clone())),
        ("claims, ours", None, hello().layer(stack().layer(ours.clone()))),
        ("claims, TraceLayer", None, hello().layer(stack().layer(TraceLayer::new_for_http()))),
        (
            "claims, SetRequestId and Timeout",
            None,
            hello().layer(stack().layer(request_id).layer(timeout)),
        ),
        ("claims, a layer that does nothing", None, hello().layer(nothing).layer(claims.clone())),
        ("claims, ours of its own", None, hello().layer(ours.clone()).layer(claims.clone())),
        ("authority", None, hello().layer(known.clone())),
        ("authority, ours", None, hello().layer(ServiceBuilder::new().layer(known).layer(ours))),
        ("token", Some(&mandate), hello()),
        ("token, ours", Some(&mandate), hello().layer(verifying)),
        ("token, axum-jwt-auth", Some(&jwt), jwt_app),
    ];
    let app = |(name, token, router): (_, Option<&String>, _)| App {
        name,
        token: token.cloned(),
        router,
    };
    lanes.into_iter().map(app).collect()
}

/// Returns a verifier and a mandate that it admits.
async fn verified(revocations: &Revocations) -> (Verifier, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let name = format!("http://{}", listener.local_addr().expect("an address"));
    let issuer = Issuer::new(&name, ZONE).expect("an issuer");
    let keys = issuer.clone();
    let keys = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
    tokio::spawn(async move { axum::serve(listener, keys).await });
    let verifier = Verifier::builder(&name, ZONE, AUDIENCE).build(revocations).expect("a verifier");
    verifier.warm_up().await.expect("keys");
    let [session, edge] = [1, 2].map(|n| tokens::id(tokens::UNKNOWN + n));
    let anchors = json!({ "agent_session_id": session, "delegation_edge_id": edge });
    let sid = tokens::id(tokens::UNKNOWN);
    (verifier, issuer.mint(&sid, AUDIENCE, &anchors).expect("a mandate"))
}

/// The claims of the other token.
#[derive(Deserialize, Serialize)]
struct Jwt {
    aud: String,
    sub: String,
    sid: String,
    root_sid: String,
    zone_id: String,
    agent_session_id: String,
    delegation_edge_id: String,
    exp: i64,
}

/// Returns a decoder of the other crate, and a token that it accepts.
fn jwt() -> (Decoder<Jwt>, String) {
    let [sid, root, session, edge] = [0, 1, 2, 3].map(|n| tokens::id(tokens::UNKNOWN + n));
    let claims = Jwt {
        aud: AUDIENCE.to_owned(),
        sub: "agent-1".to_owned(),
        zone_id: ZONE.to_owned(),
        exp: tokens::claims(&sid).exp,
        sid,
        root_sid: root,
        agent_session_id: session,
        delegation_edge_id: edge,
    };
    let secret = [7; 32];
    let header = Header::new(Algorithm::HS256);
    let token = jsonwebtoken_10::encode(&header, &claims, &EncodingKey::from_secret(&secret));
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    let decoder = LocalDecoder::new(vec![DecodingKey::from_secret(&secret)], validation);
    (Arc::new(decoder.expect("a decoder")), token.expect("a token"))
}

/// Replaces the layer that verifies tokens: inserts each value in turn.
fn put_in<T>(known: Vec<T>) -> MapRequestLayer<impl Fn(Request) -> Request + Clone>
where
    T: Clone + Send + Sync + 'static,
{
    let known: Arc<[T]> = known.into();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    MapRequestLayer::new(move |mut request: Request| {
        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % known.len();
        request.extensions_mut().insert(known[at].clone());
        request
    })
}
