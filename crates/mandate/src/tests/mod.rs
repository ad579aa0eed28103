//! A zone's STS on a real port. It publishes keys, issues mandates, and can stop responding.

mod binding;
mod example;
#[cfg(feature = "tls")]
mod https;
mod memory;
mod rotation;
mod searches;
mod verification;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{Clock as _, ManualClock, Options, RevocationsWriter};
use caracal_test_support::signing_key::SigningKey;
use serde_json::{Value, json};

use crate::{Verifier, VerifierBuilder};

const ZONE: &str = "z-1";
const AUDIENCE: &str = "https://api.example";

struct Sts {
    issuer: String,
    revocations: RevocationsWriter,
    clock: Arc<ManualClock>,
    published: Arc<Mutex<Published>>,
    fetches: Arc<AtomicUsize>,
}

struct Published {
    status: StatusCode,
    document: String,
    queries: Vec<String>,
    fetched: Vec<Duration>,
    pause: Duration,
}

impl Sts {
    async fn start(keys: &[&SigningKey]) -> Self {
        let published = Arc::new(Mutex::new(Published {
            status: StatusCode::OK,
            document: document(keys),
            queries: Vec::new(),
            fetched: Vec::new(),
            pause: Duration::ZERO,
        }));
        let fetches = Arc::new(AtomicUsize::new(0));
        let clock = Arc::new(ManualClock::new());
        let (state, count, time) =
            (Arc::clone(&published), Arc::clone(&fetches), Arc::clone(&clock));
        let answer = async move |RawQuery(query): RawQuery| {
            count.fetch_add(1, Ordering::SeqCst);
            let (pause, answer) = {
                let mut published = state.lock().unwrap();
                published.queries.extend(query);
                published.fetched.push(time.now().monotonic);
                (published.pause, (published.status, published.document.clone()))
            };
            tokio::time::sleep(pause).await;
            answer
        };
        let app = axum::Router::new().route("/.well-known/jwks.json", get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        Self { issuer, revocations, clock, published, fetches }
    }

    fn publish(&self, keys: &[&SigningKey]) {
        self.published.lock().unwrap().document = document(keys);
    }

    fn answer(&self, status: u16) {
        self.published.lock().unwrap().status = StatusCode::from_u16(status).unwrap();
    }

    /// Returns the times of the fetches, in seconds since the first.
    fn fetched(&self) -> Vec<u64> {
        let fetched = self.published.lock().unwrap().fetched.clone();
        fetched.iter().map(|at| (*at - fetched[0]).as_secs()).collect()
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn builder(&self) -> VerifierBuilder {
        Verifier::builder(&self.issuer, ZONE, AUDIENCE)
            .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
    }

    fn verifier(&self) -> Verifier {
        self.builder().build(&self.revocations).unwrap()
    }

    /// Returns the claims of a valid mandate.
    fn claims(&self, sid: &str) -> Value {
        let now = self.revocations.now().wall.as_secs();
        json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "agent-1", "sub_type": "application",
            "use": "resource", "client_id": "client-1", "jti": format!("jti-{sid}"),
            "zone_id": ZONE, "sid": sid, "root_sid": format!("root-{sid}"),
            "iat": now, "exp": now + 600, "scope": "orders:read orders:write",
        })
    }

    /// Invalidates the keys, as a `keys.invalidate` does.
    fn invalidate_keys(&self) {
        let fields: [(&[u8], &[u8]); 1] = [(b"zone_id", ZONE.as_bytes())];
        let message = Message::new(Stream::KeysInvalidate, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        self.revocations.apply(&event, self.revocations.now());
    }
}

/// Waits until no fetch runs. A request that can use older keys does not wait for the fetch.
async fn wait_for_fetch(verifier: &Verifier) {
    while verifier.0.keys.is_fetching() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn document(keys: &[&SigningKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Sets one claim.
fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}
