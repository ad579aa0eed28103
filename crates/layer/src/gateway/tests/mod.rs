//! Tests of the gateway layer, request by request. `send` returns the answer, and the request that
//! the service received.

mod answers;
pub(crate) mod log;
mod observing;
mod telemetry;
mod tokens;
mod verdicts;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{
    Admission, Admitted, Authority, Claims, ManualClock, Options, RevocationsWriter,
};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{GatewayLayer, GuardedRequestBody, Observed, RequestDenial, RequestDenialKind};

/// Returns a state that was just proven complete, on a stopped clock.
fn fresh() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    revocations.confirm(revocations.now());
    (revocations, clock)
}

fn apply(revocations: &RevocationsWriter, stream: Stream, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let message = Message::new(stream, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
    revocations.apply(&event, revocations.now());
}

fn revoke(revocations: &RevocationsWriter, anchor: &str, id: &str) {
    apply(revocations, Stream::SessionsRevoke, &[(anchor, id), ("zone_id", "z-1")]);
}

/// The time at which a [`ManualClock`] starts.
const NOW: i64 = 1_795_400_000;

/// Returns the claims of a token that was just issued.
fn claims(sid: &str) -> Claims {
    Claims::new(sid, NOW, NOW + 3_600)
}

fn request() -> Request<()> {
    Request::new(())
}

fn with_claims(claims: Claims) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(claims);
    request
}

fn with_authority(authority: Authority) -> Request<()> {
    let mut request = request();
    request.extensions_mut().insert(authority);
    request
}

fn with_authorization(value: &str) -> Request<()> {
    Request::builder().header(AUTHORIZATION, value).body(()).unwrap()
}

fn with_token(token: &str) -> Request<()> {
    with_authorization(&format!("Bearer {token}"))
}

/// The header `{"alg":"ES256"}` and a false signature.
const TOKEN_ENDS: [&str; 2] = ["eyJhbGciOiJFUzI1NiJ9", "c2lnbmF0dXJl"];

fn token(payload: &str) -> String {
    let [header, signature] = TOKEN_ENDS;
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload))
}

/// The outcome of a request.
struct Outcome {
    response: Response<Bytes>,
    seen: Option<Parts>,
}

impl Outcome {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn rejection(&self) -> Option<&RequestDenial> {
        self.response.extensions().get()
    }

    /// Returns the reason of the denial. Fails if the service was called.
    fn denied(&self) -> RequestDenialKind {
        assert!(self.seen.is_none(), "the service was called");
        self.rejection().expect("a rejection in the extensions").kind()
    }

    /// Returns the request that the service received. Fails if it was denied.
    fn passed(&self) -> &Parts {
        assert_eq!(self.response.status(), StatusCode::OK);
        assert_eq!(self.response.body(), "inner");
        assert!(self.rejection().is_none());
        self.seen.as_ref().expect("the service was called")
    }

    fn admitted(&self) -> Option<Admitted> {
        self.passed().extensions.get::<Admission>().map(Admission::admitted)
    }

    fn observed(&self) -> &Observed {
        self.passed().extensions.get().expect("observed")
    }
}

fn send(layer: &GatewayLayer, request: Request<()>) -> Outcome {
    log::install();
    let seen = Arc::new(Mutex::new(None));
    let probe = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |request: Request<GuardedRequestBody<()>>| {
        *probe.lock().unwrap() = Some(request.into_parts().0);
        async { Ok::<_, Infallible>(Response::new(Full::from("inner"))) }
    }));
    let response = wait(async {
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    });
    let seen = seen.lock().unwrap().take();
    Outcome { response, seen }
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn is_ready_only_when_service_is() {
    let (revocations, _) = fresh();
    let inner = tower::service_fn(async |_: Request<GuardedRequestBody<()>>| {
        Ok::<_, ()>(Response::new(Full::<Bytes>::default()))
    });
    let inner = NeverReady(inner);
    let mut gateway = GatewayLayer::new(revocations.reader()).layer(inner);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<()>>::poll_ready(&mut gateway, &mut cx).is_pending());
}

#[derive(Clone)]
struct NeverReady<S>(S);

impl<R, S: Service<R>> Service<R> for NeverReady<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        std::task::Poll::Pending
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
