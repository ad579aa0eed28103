//! A token endpoint behind the layer. Each revocation is recorded once in a fleet, and keys are
//! replaced when they are invalidated. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-sts`. With `REDIS_URL` and
//! `STREAMS_HMAC_KEY` it follows that Redis and publishes there; otherwise it uses streams inside
//! this process. `LISTEN` sets another address. Other processes receive its revocations through
//! Redis only.

mod records;

use std::collections::HashMap;

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use caracal_revocation::effects::{Delivery, EffectFailure, EffectRunner};
use caracal_revocation::wire::{Change, KeyRing, MessageBuilder, Stream};
use caracal_revocation::{Publisher, StsLayer};
use caracal_test_support::issuer::Issuer;
use caracal_test_support::{listen, streams};
use records::Records;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

type Error = Box<dyn std::error::Error>;

const ZONE: &str = "zone-demo";
/// The groups of this example. In the groups `sts-revocation` and `sts-keys` it would take messages
/// away from a real STS.
const REVOCATION_GROUP: &str = "example-sts-revocation";
const KEYS_GROUP: &str = "example-sts-keys";

/// The state of the handlers.
#[derive(Clone)]
struct Sts {
    issuer: Issuer,
    records: Records,
    publisher: Publisher,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8081").await?;
    let writes = [Stream::SessionsRevoke, Stream::KeysInvalidate];
    let origin = streams::Origin::from_env(&writes).await?;
    let revocations = origin.follower()?.spawn();
    streams::ready(&revocations).await?;

    let name = format!("http://{}", listener.local_addr()?);
    let issuer = Issuer::new(&name, ZONE).map_err(|error| error.to_string())?;
    let publisher = origin.publisher().await?;
    let sts = Sts { issuer: issuer.clone(), records: Records::default(), publisher };

    let (end, ended) = watch::channel(());
    let records = sts.records.clone();
    let marking = spawn(&origin, Stream::SessionsRevoke, REVOCATION_GROUP, &ended, move |it| {
        mark(records.clone(), it)
    });
    let rotating = spawn(&origin, Stream::KeysInvalidate, KEYS_GROUP, &ended, move |it| {
        rotate(issuer.clone(), it)
    });

    let app = Router::new()
        .route("/oauth/2/token", post(exchange))
        .layer(StsLayer::new(revocations))
        .route("/.well-known/jwks.json", get(keys))
        // An operator's routes, for this example only.
        .route("/operator/revoke/{session}", post(revoke))
        .route("/operator/invalidate-keys", post(invalidate_keys))
        .route("/operator/records", get(async |State(sts): State<Sts>| Json(sts.records.all())))
        .with_state(sts);
    print_commands(&name, matches!(origin, streams::Origin::Redis(_)));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            drop(end);
        })
        .await?;
    // Both handlers finish their last delivery before the process ends.
    let _ = tokio::join!(marking, rotating);
    Ok(())
}

/// Runs an effect until the sender of `ended` is dropped.
fn spawn<F>(
    origin: &streams::Origin,
    stream: Stream,
    group: &str,
    ended: &watch::Receiver<()>,
    handler: impl Fn(Delivery) -> F + Send + Sync + 'static,
) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = Result<(), EffectFailure>> + Send + 'static,
{
    let runner = match origin {
        streams::Origin::InProcess(streams, key) => {
            EffectRunner::in_process(streams, KeyRing::new(key.clone()), stream, group)
        }
        // All instances of this example share the group.
        streams::Origin::Redis(settings) => {
            EffectRunner::new(settings, stream, group).join_existing()
        }
    };
    let mut ended = ended.clone();
    tokio::spawn(async move {
        let shutdown = async move {
            let _ = ended.changed().await;
        };
        if let Err(error) = runner.run(handler, shutdown).await {
            eprintln!("{error}");
        }
    })
}

/// Handles a revocation: marks its records in the database.
async fn mark(records: Records, delivery: Delivery) -> Result<(), EffectFailure> {
    let zone = delivery.zone().ok_or_else(|| EffectFailure::Failed("no zone_id".to_owned()))?;
    for change in delivery.changes() {
        if let Change::Revoke(anchor) = change {
            records.mark_revoked(zone, anchor.as_str());
        }
    }
    Ok(())
}

/// Handles an invalidation: one instance of the fleet creates a new key.
async fn rotate(issuer: Issuer, delivery: Delivery) -> Result<(), EffectFailure> {
    if delivery.zone() == Some(ZONE) {
        issuer.rotate().map_err(|error| EffectFailure::Unavailable(error.to_string()))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct TokenRequest {
    session_id: String,
    audience: String,
    scope: Option<String>,
}

/// Issues a token. Like a real STS, the inner service also checks its own records.
async fn exchange(State(sts): State<Sts>, Form(request): Form<TokenRequest>) -> Response {
    let session = request.session_id;
    if sts.records.is_revoked(ZONE, &session) {
        return denied(StatusCode::UNAUTHORIZED, "invalid_token", "session revoked");
    }
    let more = json!({ "scope": request.scope.unwrap_or_default() });
    match sts.issuer.mint(&session, &request.audience, &more) {
        Ok(token) => Json(json!({
            "access_token": token, "token_type": "Bearer", "expires_in": 600,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }))
        .into_response(),
        Err(_) => denied(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no token was issued"),
    }
}

fn denied(status: StatusCode, error: &str, description: &str) -> Response {
    let body: Value = json!({ "error": error, "error_description": description });
    (status, Json(body)).into_response()
}

async fn keys(
    State(sts): State<Sts>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<String, StatusCode> {
    let is_mine = query.get("zone_id").is_some_and(|zone| zone == ZONE);
    if is_mine { Ok(sts.issuer.jwks()) } else { Err(StatusCode::NOT_FOUND) }
}

async fn revoke(State(sts): State<Sts>, Path(session): Path<String>) -> String {
    publish(&sts, MessageBuilder::revoke(ZONE, "example").session(&session)).await
}

async fn invalidate_keys(State(sts): State<Sts>) -> String {
    publish(&sts, MessageBuilder::keys(ZONE)).await
}

async fn publish(sts: &Sts, message: MessageBuilder) -> String {
    match sts.publisher.publish(message).await {
        Ok(id) => format!("message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}

fn print_commands(name: &str, on_redis: bool) {
    if on_redis {
        println!("Consumer groups of this example: {REVOCATION_GROUP}, {KEYS_GROUP}.");
    }
    println!("Issuing mandates of zone {ZONE} as {name}. Try, in another terminal:\n");
    println!("  SESSION={}", streams::session());
    println!("  ask() {{ curl -i {name}/oauth/2/token -d audience=https://orders.example \\");
    println!("    -d scope=orders:read -d session_id=$SESSION; }}");
    println!("  ask                                               # 200");
    println!("  curl -X POST {name}/operator/revoke/$SESSION");
    println!("  ask                                               # 401");
    println!("  curl {name}/operator/records");
    println!("  curl '{name}/.well-known/jwks.json?zone_id={ZONE}'");
    println!("  curl -X POST {name}/operator/invalidate-keys");
    println!("  curl '{name}/.well-known/jwks.json?zone_id={ZONE}'\n");
    println!("The layer answers 401; the record is marked once; the keys change.");
    if on_redis {
        println!("The example resource server accepts these mandates, with the same REDIS_URL and");
        println!("STREAMS_HMAC_KEY. In a third terminal:\n");
        println!(
            "  ISSUER={name} ZONE={ZONE} cargo run --release -p caracal-example-resource-server\n"
        );
    } else {
        println!(
            "The example resource server accepts these mandates too, but receives revocations"
        );
        println!("through Redis only. To try it, set REDIS_URL and STREAMS_HMAC_KEY for both, and");
        println!("start this example again.\n");
    }
}
