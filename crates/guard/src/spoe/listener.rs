//! Accepts HAProxy's connections, until the program stops.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::agent::Agent;
use crate::config::Limits;
use crate::server::{ACCEPT_PAUSE, Shutdown};

/// Serves connections until the shutdown, then gives them the time to drain.
pub(crate) async fn serve(
    listener: TcpListener,
    agent: Agent,
    limits: Limits,
    mut shutdown: Shutdown,
) {
    let room = Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            biased;
            () = shutdown.wait() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accepted => match accepted {
                (Ok((stream, _)), permit) => {
                    let _ = stream.set_nodelay(true);
                    let (agent, shutdown) = (agent.clone(), shutdown.clone());
                    connections.spawn(async move {
                        agent.serve(stream, limits, shutdown).await;
                        drop(permit);
                    });
                }
                (Err(error), _) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, all).await.is_err() {
        tracing::warn!(drain_ms = limits.drain.as_millis(), "running requests were broken off");
    }
}
