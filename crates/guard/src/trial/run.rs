//! Runs the trial until Ctrl+C, or its own check.

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use caracal_revocation::wire::{Key, KeyRing};
use caracal_revocation::{Follower, InProcess};
use tokio::net::TcpListener;
use tower::service_fn;

use super::activity;
use super::guide::Guide;
use super::issuer::Issuer;
use super::self_check;
use super::service::Trial;
use crate::cli::TryArgs;
use crate::config::{ConfigError, Limits};
use crate::server::{Shutdown, serve};

/// The usual address of the trial.
const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Runs the trial. Returns the exit code of the program.
pub(crate) async fn run(args: &TryArgs) -> Result<ExitCode, ConfigError> {
    let broken = |error: &dyn std::fmt::Display| ConfigError::new("try", error);
    let (listener, moved) = listen(args).await?;
    let address = reachable(listener.local_addr().map_err(|error| broken(&error))?);

    let streams = InProcess::new();
    let key = Key::generate().map_err(|error| broken(&error))?;
    let follower = Follower::in_process(&streams, KeyRing::new(key.clone()))
        .map_err(|error| ConfigError::new(error.setting(), &error))?;
    let revocations = follower.spawn();
    let (sender, mut activity) = activity::channel();
    let trial = Issuer::new(&format!("http://{address}"))
        .and_then(|issuer| Trial::new(issuer, &streams, key, revocations.clone(), sender))
        .map_err(|error| broken(&error))?;
    revocations.ready().await;
    let service = service_fn(move |request| {
        let trial = trial.clone();
        async move { Ok(trial.answer(request).await) }
    });
    let (_stop, shutdown) = Shutdown::channel();
    // Ctrl+C ends the trial at once.
    let limits = Limits { drain: Duration::ZERO, ..Limits::default() };
    tokio::spawn(serve(listener, service, limits, shutdown));

    let mut out = stdout();
    if args.self_check {
        let passed = self_check::run(address, &mut out).await.map_err(|error| broken(&error))?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    // A reader that is gone does not end the trial.
    let _ = writeln!(out, "{}", Guide { address, moved });
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            Some(event) = activity.recv() => { let _ = writeln!(out, "  {event}"); }
        }
    }
}

/// Binds the address. Returns `true` with a listener on another port than the usual one.
async fn listen(args: &TryArgs) -> Result<(TcpListener, bool), ConfigError> {
    let wanted = match (args.listen, args.self_check) {
        (Some(address), _) => address,
        (None, true) => SocketAddr::new(ADDRESS.ip(), 0),
        (None, false) => ADDRESS,
    };
    let failed = |error: std::io::Error| ConfigError::new("--listen", format!("{wanted}: {error}"));
    match TcpListener::bind(wanted).await {
        Err(error) if args.listen.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            let free = TcpListener::bind(SocketAddr::new(ADDRESS.ip(), 0)).await;
            Ok((free.map_err(failed)?, true))
        }
        listener => Ok((listener.map_err(failed)?, false)),
    }
}

/// Returns the address at which a client on this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}
