//! Runs the program: the follower, the listeners, and the signals.

use std::net::SocketAddr;
use std::path::PathBuf;

use caracal_revocation::baseline::Reload;
use caracal_revocation::metrics::{Exporter, Operations};
use caracal_revocation::{Follower, Revocations};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::baseline;
use crate::check;
use crate::cli::Flags;
use crate::config::{Config, ConfigError, File, Limits, OperationsConfig};
use crate::envoy::Envoy;
use crate::parts::Parts;
use crate::proxy::{Certificate, Proxy};
use crate::reloads;
use crate::routes::Routes;
use crate::server::{Shutdown, serve, serve_tls};
use crate::spoe;

/// The largest number of requests at a time on one connection of Envoy.
const ENVOY_STREAMS: u32 = 100_000;

/// Gives new routes to a front.
type NewRoutes = Box<dyn Fn(&Routes) + Send>;

/// Reads the configuration from the flags, the environment and the file.
pub(crate) fn configure(flags: &Flags) -> Result<Config, ConfigError> {
    let environment = |name: &str| std::env::var(name).ok();
    let named = || environment("CARACAL_GUARD_CONFIG").filter(|path| !path.is_empty());
    let path = flags.config.clone().or_else(|| named().map(PathBuf::from));
    let file = path.as_deref().map(File::read).transpose()?.unwrap_or_default();
    let config = Config::resolve(flags, environment, &file)?;
    baseline::check(&config.database)?;
    #[cfg(feature = "opa")]
    config.policy.as_ref().map(crate::policy::check).transpose()?;
    Ok(config)
}

/// Checks the configuration, and the files that it names.
pub(crate) fn check(flags: &Flags) -> Result<(), ConfigError> {
    let config = configure(flags)?;
    config.proxy.as_ref().map_or(Ok(()), |proxy| Proxy::check_files(proxy, &config.limits))
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(flags: Flags) -> Result<(), ConfigError> {
    let config = configure(&flags)?;
    let exporter = Exporter::install().map_err(|error| ConfigError::new("metrics", error))?;
    reloads::register();
    let (stop, shutdown) = Shutdown::channel();
    let mut follower = baseline::add(Follower::new(config.follower.clone()), &config.database)?;
    if let Some(replica) = &config.replica {
        follower = follower.with_receipts(replica);
    }
    let revocations = follower.revocations();
    let reload = follower.reload_handle();
    let parts = Parts::new(&config.follower, revocations.clone());
    let routes = parts.routes(&config)?;
    // The follower ends last, so that a revocation still cuts requests that have time to end.
    let (stop_follower, mut follower_stops) = Shutdown::channel();
    let follower = tokio::spawn(follower.run(async move { follower_stops.wait().await }));
    let mut tasks = JoinSet::new();

    let mut reloads: Vec<NewRoutes> = Vec::new();
    if let Some(address) = config.listeners.check {
        let listener = bind("CARACAL_GUARD_CHECK", address).await?;
        let checks = check::Checks::new(&routes);
        tasks.spawn(serve(listener, checks.clone(), config.limits, shutdown.clone()));
        reloads.push(Box::new(move |routes| checks.reload(routes)));
    }
    if let Some(address) = config.listeners.spoe {
        let listener = bind("CARACAL_GUARD_SPOE", address).await?;
        let agent = spoe::Agent::new(&routes);
        tasks.spawn(spoe::serve(listener, agent.clone(), config.limits, shutdown.clone()));
        reloads.push(Box::new(move |routes| agent.reload(routes)));
    }

    if let (Some(address), Some(proxy)) = (config.listeners.proxy, &config.proxy) {
        let front = Proxy::new(proxy, &routes, &config.limits, shutdown.clone())?;
        let certificate = proxy.tls.as_ref().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let listener = bind("CARACAL_GUARD_LISTEN", address).await?;
        tasks.spawn(serve_tls(listener, tls, front.clone(), config.limits, shutdown.clone()));
        if let Some(certificate) = certificate {
            tasks.spawn(certificate.follow(shutdown.clone()));
        }
        reloads.push(Box::new(move |routes| front.reload(routes)));
    }

    if let Some(address) = config.listeners.ext_authz {
        let listener = bind("CARACAL_GUARD_EXT_AUTHZ", address).await?;
        let (timeout, drain) = (config.envoy.timeout_from_exp, config.limits.drain);
        let envoy = Envoy::new(&routes, timeout, drain, shutdown.clone());
        // Each request that runs is a stream of its own.
        let limits = Limits { streams: ENVOY_STREAMS, ..config.limits };
        tasks.spawn(serve(listener, envoy.serve(), limits, shutdown.clone()));
        reloads.push(Box::new(move |routes| envoy.reload(routes)));
    }

    // Last, so that `/ready` answers only once every front listens.
    if let Some(address) = config.listeners.operations {
        let operations = operations(&config.operations, &revocations, exporter, reload)?;
        let listener = bind("CARACAL_GUARD_OPERATIONS", address).await?;
        tasks.spawn(serve(listener, operations, config.limits, shutdown.clone()));
    }

    let mut signals = Signals::new().map_err(|error| ConfigError::new("signals", error))?;
    while let Signal::Reload = signals.next().await {
        reload_configuration(&flags, &config, &parts, &reloads);
    }
    tracing::info!("stopping: running requests have time to end");
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
    let _ = stop_follower.send(true);
    let _ = follower.await;
    Ok(())
}

/// Reads the configuration again. One that is invalid, or that changes more than routes, tokens and
/// policies, changes nothing and is reported.
fn reload_configuration(flags: &Flags, running: &Config, parts: &Parts, reloads: &[NewRoutes]) {
    let result = configure(flags).and_then(|config| {
        if config.listeners != running.listeners
            || config.proxy != running.proxy
            || config.limits != running.limits
            || config.envoy != running.envoy
            || config.operations != running.operations
            || config.replica != running.replica
        {
            let problem = "listeners, operations, replica, proxy, limits and envoy change only \
                           with a restart";
            return Err(ConfigError::new("listen", problem));
        }
        parts.routes(&config)
    });
    let has_succeeded = result.is_ok();
    match result {
        Ok(routes) => {
            for reload in reloads {
                reload(&routes);
            }
            tracing::info!(routes = routes.rules.len(), "configuration reloaded");
        }
        Err(error) => tracing::error!(%error, "configuration not reloaded: the old one stays"),
    }
    // Last: once it is counted, the routes are in force.
    reloads::count(has_succeeded);
}

/// Creates the service of the operations listener.
fn operations(
    config: &OperationsConfig,
    revocations: &Revocations,
    exporter: Exporter,
    reload: Reload,
) -> Result<Operations, ConfigError> {
    let mut operations =
        Operations::new(revocations.clone()).with_metrics(move || exporter.render()).with_page();
    if let Some(path) = &config.bearer_file {
        let token = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new("operations.bearer_file", format!("{}: {error}", path.display()))
        })?;
        operations = operations.with_bearer(token.trim());
    }
    if config.insecure_show_details {
        operations = operations.insecure_show_details();
    }
    if let Some(token) = &config.reload_token {
        operations = operations.with_reload(token.reveal(), move || reload.start());
    }
    Ok(operations)
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.map_err(|error| ConfigError::new(setting, format!("{address}: {error}")))?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(setting, %address, "listening");
    Ok(listener)
}

enum Signal {
    Stop,
    Reload,
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::Stop
    }
}
