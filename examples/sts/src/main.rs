//! A token endpoint: token exchange behind the layer, each revocation recorded once in a fleet,
//! and keys that are replaced when they are invalidated. Runs until Ctrl-C.
//!
//! `cargo run --release -p caracal-example-sts`; with `REDIS_URL` and `STREAMS_HMAC_KEY` it
//! follows that Redis, else streams inside this process.

mod records;

#[path = "../../issuer/mod.rs"]
mod issuer;
#[path = "../../streams/mod.rs"]
mod streams;

use std::collections::HashMap;

use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use caracal_revocation::{
    Change, Delivery, EffectFailure, EffectRunner, KeyRing, Notice, Publisher, Stream, StsLayer,
};
use issuer::Issuer;
use records::Records;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

type Error = Box<dyn std::error::Error>;

const ZONE: &str = "zone-demo";

/// What the handlers share.
#[derive(Clone)]
struct Sts {
    issuer: Issuer,
    records: Records,
    publisher: Publisher,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_target(false).init();
    let origin = streams::Origin::from_env()?;
    let revocations = origin.follower()?.spawn();
    revocations.ready().await;

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let name = format!("http://{}", listener.local_addr()?);
    let issuer = Issuer::new(&name, ZONE).map_err(|error| error.to_string())?;
    let publisher = origin.publisher().await?;
    let sts = Sts { issuer: issuer.clone(), records: Records::default(), publisher };

    let (end, ended) = watch::channel(());
    let records = sts.records.clone();
    let marking = spawn(&origin, Stream::SessionsRevoke, "sts-revocation", &ended, move |it| {
        mark(records.clone(), it)
    });
    let rotating = spawn(&origin, Stream::KeysInvalidate, "sts-keys", &ended, move |it| {
        rotate(issuer.clone(), it)
    });

    let app = Router::new()
        .route("/oauth/2/token", post(exchange))
        .layer(StsLayer::new(revocations))
        .route("/.well-known/jwks.json", get(keys))
        // An operator's doors, for this example only.
        .route("/operator/revoke/{session}", post(revoke))
        .route("/operator/invalidate-keys", post(invalidate_keys))
        .route("/operator/records", get(async |State(sts): State<Sts>| Json(sts.records.all())))
        .with_state(sts);
    introduce(&name);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            drop(end);
        })
        .await?;
    // What was delivered here is finished before the process ends.
    let _ = tokio::join!(marking, rotating);
    Ok(())
}

/// Runs an effect until the other end of `ended` is dropped.
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
        // Every instance of this example works in the group.
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

/// The effect of a revocation: its records are marked in the database.
async fn mark(records: Records, delivery: Delivery) -> Result<(), EffectFailure> {
    let zone = delivery.zone().ok_or_else(|| EffectFailure::Failed("no zone_id".to_owned()))?;
    for change in delivery.changes() {
        if let Change::Revoke(anchor) = change {
            records.mark_revoked(zone, anchor.as_str());
        }
    }
    Ok(())
}

/// The effect of an invalidation: a new key, in a fleet by one instance only.
async fn rotate(issuer: Issuer, delivery: Delivery) -> Result<(), EffectFailure> {
    if delivery.zone() == Some(ZONE) {
        issuer.rotate().map_err(|error| EffectFailure::Unavailable(error.to_string()))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct TokenRequest {
    session_id: Option<String>,
    audience: String,
    scope: Option<String>,
}

/// The inner service: it decides from its own records, whatever the layer in front knows.
async fn exchange(State(sts): State<Sts>, Form(request): Form<TokenRequest>) -> Response {
    let session = request.session_id.unwrap_or_else(|| "session-1".to_owned());
    if sts.records.is_revoked(ZONE, &session) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_token", "session revoked");
    }
    let more = json!({ "scope": request.scope.unwrap_or_default() });
    match sts.issuer.mint(&session, &request.audience, &more) {
        Ok(token) => Json(json!({
            "access_token": token, "token_type": "Bearer", "expires_in": 600,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }))
        .into_response(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no token was made"),
    }
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
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
    publish(&sts, Notice::revoke(ZONE, "example").session(&session)).await
}

async fn invalidate_keys(State(sts): State<Sts>) -> String {
    publish(&sts, Notice::keys(ZONE)).await
}

async fn publish(sts: &Sts, notice: Notice) -> String {
    match sts.publisher.publish(notice).await {
        Ok(id) => format!("message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}

fn introduce(name: &str) {
    println!("Issuing mandates of zone {ZONE} as {name}. Try, in another terminal:\n");
    println!(
        "  ask() {{ curl -i {name}/oauth/2/token -d audience=https://orders.example -d \"$1\"; }}"
    );
    println!("  ask session_id=session-1                          # 200, a mandate");
    println!("  curl -X POST {name}/operator/revoke/session-1");
    println!("  ask session_id=session-1                          # 401, by the layer");
    println!("  curl {name}/operator/records                      # marked, once");
    println!("  curl '{name}/.well-known/jwks.json?zone_id={ZONE}'");
    println!("  curl -X POST {name}/operator/invalidate-keys      # and the keys are others\n");
    println!("Mandates are taken by the example resource server:");
    println!(
        "  ISSUER={name} ZONE={ZONE} cargo run --release -p caracal-example-resource-server\n"
    );
}
