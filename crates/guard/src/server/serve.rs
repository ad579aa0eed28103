//! Accepts connections, and waits for them when the program stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::gateway::BoxError;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::connection::{Connection, Servers, first_version};
use super::shutdown::Shutdown;
use crate::config::Limits;

/// The pause after `accept` failed, for example because the process has too many open files.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves requests until the shutdown, then gives running ones the time to drain.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    shutdown: Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    serve_tls(listener, None, service, limits, shutdown).await;
}

/// Serves requests as [`serve`] does, over TLS if there is an acceptor.
pub(crate) async fn serve_tls<S, B>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S,
    limits: Limits,
    mut shutdown: Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let servers = Servers::new(&limits);
    let room = Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX)));
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let accepted = tokio::select! {
            biased;
            () = shutdown.wait() => break,
            accepted = accepted => accepted,
        };
        let (stream, connection) = match accepted {
            (Ok((stream, peer)), Ok(permit)) => {
                let open = Arc::new(permit);
                (stream, Connection { peer, is_tls: tls.is_some(), _open: open })
            }
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            // The semaphore is never closed.
            (_, Err(_)) => break,
        };
        set_options(&stream, &limits);
        let (tls, service) = (tls.clone(), service.clone());
        let (servers, mut shutdown) = (servers.clone(), shutdown.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else {
                let first = tokio::time::timeout(limits.header_timeout, first_version(&stream));
                let version = tokio::select! {
                    () = shutdown.wait() => return,
                    first = first => first,
                };
                let Ok(Ok(version)) = version else { return };
                let io = TokioIo::new(stream);
                return servers.serve(version, io, connection, service, limits, shutdown).await;
            };
            // Boxed, because a future with TLS is large, and a connection without TLS should not
            // pay for it.
            Box::pin(async move {
                // A failed handshake is no event worth a log line: scanners cause many.
                let handshake = tokio::time::timeout(limits.header_timeout, tls.accept(stream));
                let Ok(Ok(stream)) = handshake.await else { return };
                let version = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Version::HTTP_2,
                    _ => Version::HTTP_11,
                };
                let io = TokioIo::new(stream);
                servers.serve(version, io, connection, service, limits, shutdown).await;
            })
            .await;
        });
    }
    drop(listener);
    let all_closed = room.acquire_many(limits.connections);
    if tokio::time::timeout(limits.drain, all_closed).await.is_err() {
        tracing::warn!(drain_ms = limits.drain.as_millis(), "running requests were broken off");
    }
}

/// Lets the kernel close connections whose client is gone or does not read. An option that the
/// system lacks is left out.
fn set_options(stream: &TcpStream, limits: &Limits) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(limits.unread));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(limits.unread));
}
