//! Outages of the guard cut the requests that run.

use caracal_test_support::waiting::eventually;

use super::running::{LAST_CHUNK, Running, get};
use super::setup::{Filter, Setup};
use crate::exchange::{body, status};
use crate::front_outages::SHORT_BOUND;

/// Runs a silent and a busy response until `outage` has happened, and expects both to be cut.
async fn cut_by(setup: &mut Setup, outage: impl FnOnce(&mut Setup)) {
    let token = setup.world.mint("ar-running");
    let silent = Running::start(setup.address, &get("/sse", &token), "data: 1").await;
    let busy = Running::start(setup.address, &get("/chunked", &token), "chunk").await;
    outage(setup);
    for cut in [silent, busy] {
        let all = cut.end().await;
        assert!(!all.ends_with(LAST_CHUNK), "looks complete: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_when_guard_is_killed() {
    let Some(mut setup) = Setup::start(Filter::ExtProc).await else { return };
    cut_by(&mut setup, |setup| setup.guard.kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_when_guard_hangs() {
    let Some(mut setup) = Setup::start(Filter::ExtProc).await else { return };
    cut_by(&mut setup, |setup| setup.guard.signal("STOP")).await;
    setup.guard.signal("CONT");
    let token = setup.world.mint("ar-after");
    setup.front().until(200, "/orders/1", &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_responses_at_end_of_drain() {
    let extra = ("CONFIG", "[limits]\ndrain_ms = 1000\n");
    let setup = Setup::start_with(Filter::ExtProc, &[], &[extra]).await;
    let Some(mut setup) = setup else { return };
    cut_by(&mut setup, |setup| setup.guard.signal("TERM")).await;
    // The program ended each stream itself.
    eventually("the guard ends", || setup.guard.has_ended()).await;
    assert!(!setup.guard.log().contains("broken off"), "{}", setup.guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_running_response_beyond_staleness_bound_if_configured() {
    let routes = "[[routes]]\npath = \"/sse\"\ncut_when_unknown = true\n";
    let environment = [SHORT_BOUND, ("CONFIG", routes)];
    let setup = Setup::start_with(Filter::ExtProc, &[], &environment).await;
    let Some(setup) = setup else { return };
    let token = setup.world.mint("ar-stale");
    let cut = Running::start(setup.address, &get("/sse", &token), "data: 1").await;
    let mut left = Running::start(setup.address, &get("/chunked", &token), "chunk").await;
    setup.world.redis.freeze();
    assert!(!cut.end().await.ends_with(LAST_CHUNK));
    left.next("chunk").await;
    let response = setup.front().get("/orders/1", &token).await;
    assert_eq!(status(&response), 503, "{}", body(&response));
}
