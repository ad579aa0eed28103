//! Every answer that a client gets, and every outage.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::exchange::status;
use crate::front::Front;
use crate::front_exchanges::check_exchanges;
use crate::front_outages::{SHORT_BOUND, denies_during_outages};

use super::setup::{Filter, Setup};

const UNAVAILABLE: (u16, &str) = (503, "sts_unavailable");

async fn decides_every_case(filter: Filter) {
    let Some(setup) = Setup::start(filter).await else { return };
    setup.front().check().await;
    check_exchanges(&setup.front()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_proc_decides_every_case() {
    decides_every_case(Filter::ExtProc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_decides_every_case() {
    decides_every_case(Filter::ExtAuthz).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_filters_decide_every_case() {
    decides_every_case(Filter::Both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_over_http_decides_every_case() {
    decides_every_case(Filter::Http).await;
}

async fn denies_in_every_outage(filter: Filter) {
    let Some(mut setup) = Setup::start_with(filter, &[], &[SHORT_BOUND]).await else { return };
    let front = Front { world: &setup.world, upstream: &setup.upstream, address: setup.address };
    denies_during_outages(&front, &mut setup.guard, UNAVAILABLE, UNAVAILABLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_proc_denies_in_every_outage() {
    denies_in_every_outage(Filter::ExtProc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_denies_in_every_outage() {
    denies_in_every_outage(Filter::ExtAuthz).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_over_http_denies_in_every_outage() {
    denies_in_every_outage(Filter::Http).await;
}

/// Runs the shared cases without the parts of the page's configuration that remove forged headers.
async fn removes_forged_headers_itself(filter: Filter) {
    let changes = [
        ("prefix: \"x-caracal-\"", "prefix: \"x-other-\""),
        ("headers_with_underscores_action: DROP_HEADER", "headers_with_underscores_action: ALLOW"),
    ];
    let Some(setup) = Setup::start_with(filter, &changes, &[]).await else { return };
    setup.front().check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_proc_removes_forged_headers_itself() {
    removes_forged_headers_itself(Filter::ExtProc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_removes_forged_headers_itself() {
    removes_forged_headers_itself(Filter::ExtAuthz).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_ends_response_when_token_expires() {
    let extra = ("CONFIG", "[envoy]\ntimeout_from_exp = true\n");
    let setup = Setup::start_with(Filter::ExtAuthz, &[], &[extra]).await;
    let Some(setup) = setup else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Tokens are accepted for 60 seconds after `exp`.
    let token = setup.world.mint_with("ar-short", &json!({ "iat": now - 600, "exp": now - 55 }));
    let response = setup.front().get("/chunked", &token).await;
    assert_eq!(status(&response), 200);
    assert!(!response.ends_with("0\r\n\r\n"), "looks complete");
}
