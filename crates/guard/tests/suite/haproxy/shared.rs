//! The cases and outages that every front must handle alike.

use super::{Setup, both};
use crate::front::{ARGUMENTS, Front};
use crate::front_exchanges::check_exchanges;
use crate::front_outages::{SHORT_BOUND, denies_during_outages};

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_decides_every_case() {
    for program in both() {
        let setup = Setup::start(&program, &ARGUMENTS, &[]).await;
        let Setup { world, upstream, .. } = &setup;
        let front = Front { world, upstream, address: setup.proxy };
        front.check().await;
        check_exchanges(&front).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_denies_during_outages() {
    for program in both() {
        let mut setup = Setup::start(&program, &ARGUMENTS, &[SHORT_BOUND]).await;
        let address = setup.proxy;
        let Setup { world, upstream, guard, .. } = &mut setup;
        let front = Front { world, upstream, address };
        let denial = (503, "revocation check unavailable");
        denies_during_outages(&front, guard, denial, denial).await;
    }
}
