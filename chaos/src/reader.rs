//! The reader process: the program starts itself as one.
//!
//! It is a follower and an axum service behind the gateway layer, as a user would write it. When
//! its standard input ends, it writes its snapshot and exits, so no reader outlives the harness.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, routing::get};
use caracal_revocation::gateway::{RequestDenial, RequestDenialKind};
use caracal_revocation::state::{Options, RevocationsWriter, UnknownCause};
use caracal_revocation::{Follower, GatewayLayer, Operations, Settings};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::decisions::Decided;
use crate::failure::Failure;
use crate::mandates::Checker;

/// The environment of a reader, in addition to `REDIS_URL` and `STREAMS_HMAC_KEY`.
pub const PUBLIC_KEY: &str = "CHAOS_PUBLIC_KEY";
pub const BOUND_MS: &str = "CHAOS_BOUND_MS";
pub const STRICT: &str = "CHAOS_STRICT";
pub const DECISIONS: &str = "CHAOS_DECISIONS";
/// The horizon margin: shorter than the default in strict mode, so that it ends within a schedule.
pub const MARGIN: Duration = Duration::from_secs(5);
/// The response header with the decision, as one word.
pub const ANSWER: &str = "x-chaos-answer";
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
    options.deny_after = Duration::from_millis(std::env::var(BOUND_MS)?.parse()?);
    let writer = RevocationsWriter::new(options);
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

    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(move |request| authenticate(&checker, request)))
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

fn authenticate<B>(checker: &Checker, mut request: Request<B>) -> Request<B> {
    if let Some(claims) = checker.claims(request.headers()) {
        request.extensions_mut().insert(claims);
    }
    request
}

fn set_answer_header<B>(mut response: Response<B>) -> Response<B> {
    let answer = match response.extensions().get::<RequestDenial>() {
        None => "admitted",
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
