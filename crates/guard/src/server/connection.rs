//! One connection of a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use caracal_revocation::gateway::BoxError;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tower::{Service, ServiceExt};

use super::activity::{Activity, RunningBody};
use super::shutdown::Shutdown;
use crate::config::Limits;

/// The connection that a request came on: an extension of each request.
///
/// Whatever outlives the request, such as a tunnel, must keep a clone: the connection counts as
/// open until the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) is_tls: bool,
    pub(super) _open: Arc<OwnedSemaphorePermit>,
}

/// Returns the settings of a server with these limits.
pub(super) fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    /// The time between two pings, and the time in which the client must answer one.
    const PING: std::time::Duration = std::time::Duration::from_secs(20);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_buf_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING))
        .keep_alive_timeout(PING)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes);
    builder
}

/// Serves the connection until it ends, is idle, or the program stops.
pub(super) async fn serve_connection<I, S, B>(
    io: I,
    connection: Connection,
    builder: auto::Builder<TokioExecutor>,
    service: S,
    limits: Limits,
    mut shutdown: Shutdown,
) where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let activity = Activity::new(limits.header_timeout);
    let counted = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let running = counted.start(limits.idle);
        request.extensions_mut().insert(connection.clone());
        let response = service.clone().oneshot(request);
        async move {
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| RunningBody::new(body, running)))
        }
    });
    let mut served = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut idle = pin!(sleep_until(activity.deadline()));
    let (mut is_stopping, mut is_idle) = (false, false);
    loop {
        tokio::select! {
            // A client that breaks off is no event worth a log line.
            _ = served.as_mut() => return,
            () = shutdown.wait(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = idle.as_mut() => {
                let deadline = activity.deadline();
                if deadline > Instant::now() {
                    idle.as_mut().reset(deadline);
                } else if is_idle {
                    return;
                } else {
                    is_idle = true;
                    served.as_mut().graceful_shutdown();
                    idle.as_mut().reset(Instant::now() + limits.header_timeout);
                }
            }
        }
    }
}
