//! Every answer that a client gets, and every outage.

use crate::front_outages::{
    SHORT_BOUND, denies_while_guard_hangs, denies_while_guard_is_dead, denies_while_redis_is_frozen,
};

use super::setup::{Filter, Setup};

const UNAVAILABLE: (u16, &str) = (503, "sts_unavailable");

async fn decides_every_case(filter: Filter) {
    let Some(setup) = Setup::start(filter).await else { return };
    setup.front().check().await;
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

async fn denies_in_every_outage(filter: Filter) {
    let Some(mut setup) = Setup::start_with(filter, &[], &[SHORT_BOUND]).await else { return };
    denies_while_redis_is_frozen(&setup.front()).await;
    denies_while_guard_hangs(&setup.front(), &setup.guard, UNAVAILABLE).await;
    let front = crate::front::Front {
        world: &setup.world,
        upstream: &setup.upstream,
        address: setup.address,
    };
    denies_while_guard_is_dead(&front, &mut setup.guard, UNAVAILABLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_proc_denies_in_every_outage() {
    denies_in_every_outage(Filter::ExtProc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ext_authz_denies_in_every_outage() {
    denies_in_every_outage(Filter::ExtAuthz).await;
}
