//! A resource server: verified mandates, scopes and delegations. Runs until Ctrl-C.
//!
//! Run it with `cargo run --release -p caracal-example-resource-server`. With `REDIS_URL` and
//! `STREAMS_HMAC_KEY` it follows that Redis and publishes there; otherwise it uses streams inside
//! this process. `ISSUER` and `ZONE` name a real issuer (such as the example `sts`) on the same
//! Redis; otherwise the example starts its own issuer on a free port. `LISTEN` sets another
//! address.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use caracal_revocation::wire::{DelegationEvent, MessageBuilder, Stream};
use caracal_revocation::{Mandate, Publisher, ResourceLayer, Verifier};
use caracal_test_support::issuer::Issuer;
use caracal_test_support::{listen, streams};
use serde_json::json;
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error>;

const AUDIENCE: &str = "https://orders.example";

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_target(false).init();
    let listener = listen::listen("127.0.0.1:8080").await?;
    let writes = [Stream::SessionsRevoke, Stream::DelegationsInvalidate];
    let origin = streams::Origin::from_env(&writes).await?;
    let named = variable("ISSUER")?.filter(|name| !name.trim().is_empty());
    if named.is_some() && matches!(origin, streams::Origin::InProcess(..)) {
        return Err("ISSUER names another process, whose revocations arrive through Redis only: \
                    set REDIS_URL and STREAMS_HMAC_KEY to the values of that process"
            .into());
    }
    let publisher = origin.publisher().await?;
    let revocations = origin.follower()?.spawn();
    streams::ready(&revocations).await?;

    let zone = variable("ZONE")?.unwrap_or_else(|| "zone-demo".to_owned());
    let (name, issuer) = match named {
        Some(name) => (name, None),
        None => own_issuer(&zone).await.map(|(name, issuer)| (name, Some(issuer)))?,
    };
    let verifier = Verifier::builder(&name, &zone, AUDIENCE).build(&revocations);
    let verifier = verifier.map_err(|error| format!("ISSUER={name}: {error}"))?;
    verifier.warm_up().await.map_err(|error| format!("ISSUER={name}: {error}"))?;

    let resource = ResourceLayer::new(verifier);
    let reading = resource.clone().require_scope("orders:read");
    let writing = resource.clone().require_scope("orders:write").require_session();
    let delegated = resource.require_scope("orders:read").require_delegation().max_hops(2);
    let app = Router::new()
        .route("/orders", get(read).layer(reading))
        .route("/orders", post(write).layer(writing))
        .route("/delegated", get(read).layer(delegated))
        .merge(operator(publisher, zone));

    let at = format!("http://{}", listener.local_addr()?);
    println!("Orders at {at}, for mandates of {name}. Try, in another terminal:\n");
    match issuer {
        Some(issuer) => print_commands(&issuer, &at)?,
        None => print_commands_for_sts(&name, &at),
    }
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(ended).await?;
    Ok(())
}

/// Reads an environment variable. If it is not UTF-8, the error names it and does not show its
/// value.
fn variable(name: &str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name}: not UTF-8").into()),
    }
}

async fn read(mandate: Mandate) -> String {
    format!("orders of {}, {} hops away\n", mandate.subject(), mandate.hops())
}

async fn write(mandate: Mandate) -> String {
    format!("an order by session {:?}\n", mandate.claims().agent_session_id)
}

/// Starts an issuer in this process. The verifier fetches its keys over a real port.
async fn own_issuer(zone: &str) -> Result<(String, Issuer), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("http://{}", listener.local_addr()?);
    let issuer = Issuer::new(&name, zone).map_err(|error| error.to_string())?;
    let keys = issuer.clone();
    let app = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((name, issuer))
}

/// Returns an operator's routes, outside the layers, for this example only.
fn operator(publisher: Publisher, zone: String) -> Router {
    let (edges, sessions) = ((publisher.clone(), zone.clone()), (publisher, zone));
    Router::new()
        .route(
            "/operator/revoke/{session}",
            post(async move |Path(session): Path<String>| {
                let message = MessageBuilder::revoke(&sessions.1, "example").session(&session);
                answer(sessions.0.publish(message).await.map(|id| id.to_string()))
            }),
        )
        .route(
            "/operator/revoke-edge/{edge}/{epoch}",
            post(async move |Path((edge, epoch)): Path<(String, u64)>| {
                let event = DelegationEvent::Revoke;
                let message = MessageBuilder::delegation(&edges.1, event, &[&edge], epoch);
                answer(edges.0.publish(message).await.map(|id| id.to_string()))
            }),
        )
}

fn answer<E: std::fmt::Display>(result: Result<String, E>) -> String {
    match result {
        Ok(id) => format!("message {id}\n"),
        Err(error) => format!("{error}\n"),
    }
}

fn print_commands(issuer: &Issuer, at: &str) -> Result<(), Error> {
    let mint =
        |sid: &str, more| issuer.mint(sid, AUDIENCE, &more).map_err(|error| error.to_string());
    // An epoch only grows: this one is later than that of any earlier run on the same Redis.
    let epoch = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let (session, next) = (streams::session(), epoch + 1);
    let edge = format!("edge-of-{session}");
    let own =
        mint(&session, json!({"scope": "orders:read orders:write", "agent_session_id": "gs-1"}))?;
    let delegated = mint(
        &format!("{session}-delegated"),
        json!({
            "scope": "orders:read", "delegation_edge_id": edge, "delegation_path": [edge],
            "delegation_chain": [{"application_id": "app-1", "delegation_edge_id": edge}],
            "hop_count": 1, "delegation_graph_epoch": epoch,
        }),
    )?;
    println!("  OWN={own}\n  DELEGATED={delegated}");
    println!("  curl -i {at}/orders -H \"Authorization: Bearer $OWN\"                # 200");
    println!("  curl -i -X POST {at}/orders -H \"Authorization: Bearer $DELEGATED\"  # 403");
    println!("  curl -i {at}/delegated -H \"Authorization: Bearer $DELEGATED\"       # 200");
    println!("  curl -X POST {at}/operator/revoke-edge/{edge}/{next}");
    println!("  curl -i {at}/delegated -H \"Authorization: Bearer $DELEGATED\"       # 401");
    println!("  curl -X POST {at}/operator/revoke/{session}");
    println!("  curl -i {at}/orders -H \"Authorization: Bearer $OWN\"                # 401\n");
    Ok(())
}

/// Prints the commands for an issuer that is the example `sts`.
fn print_commands_for_sts(sts: &str, at: &str) {
    println!("  SESSION={}", streams::session());
    println!("  MANDATE=$(curl -s {sts}/oauth/2/token -d audience={AUDIENCE} \\");
    println!("    -d scope=orders:read -d session_id=$SESSION \\");
    println!("    | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')");
    println!("  curl -i {at}/orders -H \"Authorization: Bearer $MANDATE\"   # 200");
    println!("  curl -X POST {sts}/operator/revoke/$SESSION");
    println!("  curl -i {at}/orders -H \"Authorization: Bearer $MANDATE\"   # 401\n");
}
