//! The reader process: the program starts itself as one.
//!
//! It is a follower and axum services behind the layers, as a user would write them: a gateway, a
//! resource server, an STS, and a gateway with a policy. When its standard input ends, it writes its
//! snapshot and exits, so no reader outlives the harness.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use caracal_revocation::gateway::{CutOptions, RequestDenial, RequestDenialKind};
use caracal_revocation::mandate::Use;
use caracal_revocation::policy::PolicyDenial;
use caracal_revocation::state::{Options, RevocationsWriter, UnknownCause};
use caracal_revocation::{
    Follower, GatewayLayer, Operations, ResourceLayer, Settings, StsLayer, Verifier,
};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::decisions::Decided;
use crate::failure::Failure;
use crate::mandates::{AUDIENCE, Checker, ISSUER, ZONE};
use crate::policy;
use crate::stepped_clock::SteppedClock;

/// The environment of a reader, in addition to `REDIS_URL` and `STREAMS_HMAC_KEY`.
pub const PUBLIC_KEY: &str = "CHAOS_PUBLIC_KEY";
pub const BOUND_MS: &str = "CHAOS_BOUND_MS";
pub const STRICT: &str = "CHAOS_STRICT";
pub const ROOM: &str = "CHAOS_ROOM";
pub const JWKS: &str = "CHAOS_JWKS";
pub const POLICY: &str = "CHAOS_POLICY";
pub const DECISIONS: &str = "CHAOS_DECISIONS";
/// The horizon margin: shorter than the default in strict mode, so that it ends within a schedule.
pub const MARGIN: Duration = Duration::from_secs(5);
/// The response header with the decision, as one word.
pub const ANSWER: &str = "x-chaos-answer";
/// The paths of the services.
pub const GATEWAY_PATH: &str = "/";
pub const HELD_PATH: &str = "/held";
pub const POLICY_PATH: &str = "/policy";
pub const RESOURCE_PATH: &str = "/resource";
pub const STS_PATH: &str = "/oauth/2/token";
/// The time between two parts of a response without an end.
const PART_EVERY: Duration = Duration::from_millis(100);
/// The path at which a fault steps the wall clock: the body is the milliseconds that it is ahead.
pub const CLOCK_PATH: &str = "/clock";
/// The path of the readiness probe.
pub const READY: &str = "/ready";
/// The time that a reader has to write its snapshot at the end.
const STOPS_WITHIN: Duration = Duration::from_secs(5);
/// The prefix of the line that prints its address.
pub const LISTENING: &str = "listening on ";

pub async fn run() -> Result<(), Failure> {
    let filter = "info,caracal_revocation::denial=off";
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let checker = Arc::new(Checker::new(&std::env::var(PUBLIC_KEY)?)?);
    let is_strict = std::env::var(STRICT).is_ok();
    let mut options = if is_strict { Options::strict() } else { Options::default() };
    options.horizon_margin = MARGIN;
    let bound = Duration::from_millis(std::env::var(BOUND_MS)?.parse()?);
    options.deny_after = bound;
    if let Ok(room) = std::env::var(ROOM) {
        options.max_entries = room.parse()?;
    }
    let clock = Arc::new(SteppedClock::default());
    let writer = RevocationsWriter::with_clock(options, Arc::clone(&clock) as _);
    let follower = Follower::new(Settings::from_env()?).with_writer(writer);
    let revocations = follower.revocations();
    let follower = match std::env::var(DECISIONS) {
        Ok(decisions) => follower.with_baseline(Decided::at(decisions)),
        Err(_) => follower,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut following = Box::pin(follower.run(async {
        let _ = stopped.await;
    }));
    // Restores the snapshot before the first request can arrive.
    let _ = (&mut following).now_or_never();
    let following = tokio::spawn(following);

    let verifier = Verifier::builder(ISSUER, ZONE, AUDIENCE)
        .with_uses(&[Use::Gateway])
        .with_keys_url(&std::env::var(JWKS)?)
        .build(&revocations)?;
    let policies = policy::layer(revocations.clone(), std::env::var(POLICY)?.as_ref(), bound);
    let hello = async || "hello";
    let behind_gateway = Router::new()
        .route(GATEWAY_PATH, get(hello))
        .route(HELD_PATH, get(hold))
        .merge(Router::new().route(POLICY_PATH, get(hello)).layer(policies))
        .layer(
            GatewayLayer::new(revocations.clone()).with_cutting(CutOptions::new().when_unknown()),
        )
        .layer(MapRequestLayer::new(move |request| authenticate(&checker, request)));
    let resource =
        Router::new().route(RESOURCE_PATH, get(hello)).layer(ResourceLayer::new(verifier));
    let sts = Router::new().route(STS_PATH, post(hello)).layer(StsLayer::new(revocations.clone()));
    let app = behind_gateway
        .merge(resource)
        .merge(sts)
        .route(CLOCK_PATH, post(async move |body: String| step_clock(&clock, &body)))
        .layer(MapResponseLayer::new(set_answer_header))
        .fallback_service(Operations::new(revocations));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{LISTENING}{}", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, app).into_future() => served?,
        () = end_of_input() => {}
    }
    let _ = stop.send(());
    let _ = tokio::time::timeout(STOPS_WITHIN, following).await;
    // Exits without waiting for clients that keep their connections open.
    std::process::exit(0)
}

pub async fn end_of_input() {
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

fn step_clock(clock: &SteppedClock, ahead: &str) -> StatusCode {
    let Ok(ahead) = ahead.parse() else { return StatusCode::BAD_REQUEST };
    clock.step_to(ahead);
    StatusCode::OK
}

/// Answers without an end: each part is the time at which it was written, in microseconds.
async fn hold() -> Body {
    let parts = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(PART_EVERY).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Some((Ok::<_, Infallible>(format!("{now}\n")), ()))
    });
    Body::from_stream(parts)
}

fn authenticate<B>(checker: &Checker, mut request: Request<B>) -> Request<B> {
    if let Some(claims) = checker.claims(request.headers()) {
        request.extensions_mut().insert(claims);
    }
    request
}

fn set_answer_header<B>(mut response: Response<B>) -> Response<B> {
    let policy = response.extensions().get::<PolicyDenial>().map(|denial| denial.kind().label());
    let answer = match response.extensions().get::<RequestDenial>() {
        None => policy.unwrap_or("admitted"),
        Some(rejection) => match (rejection.kind(), rejection.unknown()) {
            (RequestDenialKind::Unknown, Some(UnknownCause::Stale { .. })) => "stale",
            (RequestDenialKind::Unknown, Some(UnknownCause::NotReady(_))) => "not_ready",
            (RequestDenialKind::Unknown, Some(unknown)) => unknown.label(),
            (kind, _) => kind.label(),
        },
    };
    response.headers_mut().insert(ANSWER, HeaderValue::from_static(answer));
    response
}
