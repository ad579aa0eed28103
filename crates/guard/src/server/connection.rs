//! One connection of a client.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::gateway::{BoxError, ConnectionId};
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
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

/// The servers for both versions of HTTP.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Servers {
    /// Returns servers with these limits.
    pub(super) fn new(limits: &Limits) -> Self {
        /// The time between two pings, and the time in which the client must answer one.
        const PING: Duration = Duration::from_secs(20);
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(limits.headers)
            .max_buf_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING))
            .keep_alive_timeout(PING)
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.header_bytes);
        Self { http1, http2 }
    }

    /// Serves the connection until it ends, is idle, or the program stops.
    pub(super) async fn serve<I, S, B>(
        self,
        version: Version,
        io: I,
        connection: Connection,
        service: S,
        limits: Limits,
        shutdown: Shutdown,
    ) where
        I: Read + Write + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let activity = Activity::new(limits.header_timeout);
        let (counted, id) = (activity.clone(), ConnectionId::from(connection.peer));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let running = counted.start(limits.idle);
            request.extensions_mut().insert(connection.clone());
            request.extensions_mut().insert(id);
            let response = service.clone().oneshot(request);
            async move {
                let response = response.await?;
                Ok::<_, Infallible>(response.map(|body| RunningBody::new(body, running)))
            }
        });
        if version == Version::HTTP_2 {
            let served = self.http2.serve_connection(io, service);
            wait(served, http2::Connection::graceful_shutdown, activity, limits, shutdown).await;
        } else {
            let served = self.http1.serve_connection(io, service).with_upgrades();
            let stop = http1::UpgradeableConnection::graceful_shutdown;
            wait(served, stop, activity, limits, shutdown).await;
        }
    }
}

/// Waits for the end of a served connection. Stops it when it is idle, and when the program stops.
async fn wait<C: Future>(
    served: C,
    stop: fn(Pin<&mut C>),
    activity: Activity,
    limits: Limits,
    mut shutdown: Shutdown,
) {
    let mut served = pin!(served);
    let mut idle = pin!(sleep_until(activity.deadline()));
    let (mut is_stopping, mut is_idle) = (false, false);
    loop {
        tokio::select! {
            // A client that breaks off is no event worth a log line.
            _ = served.as_mut() => return,
            () = shutdown.wait(), if !is_stopping => {
                is_stopping = true;
                stop(served.as_mut());
            }
            () = idle.as_mut() => {
                let deadline = activity.deadline();
                if deadline > Instant::now() {
                    idle.as_mut().reset(deadline);
                } else if is_idle {
                    return;
                } else {
                    is_idle = true;
                    stop(served.as_mut());
                    idle.as_mut().reset(Instant::now() + limits.header_timeout);
                }
            }
        }
    }
}

/// Returns the version of HTTP that the client begins to speak (RFC 9113, section 3.4), and leaves
/// its bytes in the stream.
pub(super) async fn first_version(stream: &TcpStream) -> io::Result<Version> {
    const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// The time until the next look, if only a part of the preface has arrived. It doubles with each
    /// look, so that many clients that send no more cost little.
    const PAUSE: Duration = Duration::from_millis(5);
    let (mut start, mut pause) = ([0; PREFACE.len()], PAUSE);
    loop {
        let length = stream.peek(&mut start).await?;
        let arrived = start.get(..length).unwrap_or_default();
        if arrived.is_empty() || !PREFACE.starts_with(arrived) {
            return Ok(Version::HTTP_11);
        }
        if length == PREFACE.len() {
            return Ok(Version::HTTP_2);
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::*;

    /// Asks twice on a connection from this address, and returns the ids that the service sees.
    async fn seen_ids(peer: SocketAddr) -> Vec<ConnectionId> {
        let (client, server) = tokio::io::duplex(4096);
        let (seen, mut ids) = tokio::sync::mpsc::unbounded_channel();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let _ = seen.send(*request.extensions().get::<ConnectionId>().unwrap());
            std::future::ready(Ok(Response::new(Full::<Bytes>::default())))
        });
        let limits = Limits::default();
        let room = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let connection = Connection { peer, is_tls: false, _open: Arc::new(room) };
        let (_stop, shutdown) = Shutdown::channel();
        let served = Servers::new(&limits).serve(
            Version::HTTP_2,
            TokioIo::new(server),
            connection,
            service,
            limits,
            shutdown,
        );
        let asks = async {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                    .await
                    .unwrap();
            let connection = tokio::spawn(connection);
            for _ in 0..2 {
                let request = Request::get("http://localhost/").body(Full::<Bytes>::default());
                sender.send_request(request.unwrap()).await.unwrap();
            }
            drop(sender);
            connection.await.unwrap().unwrap();
        };
        tokio::join!(served, asks);
        std::iter::from_fn(|| ids.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn requests_carry_the_id_of_their_connection() {
        let mut ids = seen_ids(([127, 0, 0, 1], 1000).into()).await;
        ids.extend(seen_ids(([127, 0, 0, 1], 1001).into()).await);
        let [a, b, c, d] = ids[..] else { panic!("{ids:?}") };
        assert!(a == b && c == d && b != c);
    }

    #[tokio::test]
    async fn first_bytes_decide_the_version() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (parts, version) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], Version::HTTP_2),
            (&["PRI * HTTP/2.0\r\n", "\r\nSM\r\n\r\n and more"], Version::HTTP_2),
            (&["P", "R", "I * HTTP/2.0\r\n\r\nSM\r\n\r\n"], Version::HTTP_2),
            (&["GET / HTTP/1.1\r\n"], Version::HTTP_11),
            (&["P", "OST / HTTP/1.1\r\n"], Version::HTTP_11),
            (&["PRI * HTTP/1.1\r\n"], Version::HTTP_11),
            (&["PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\n"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.set_nodelay(true).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let sends = async {
                for part in parts {
                    client.write_all(part.as_bytes()).await.unwrap();
                    sleep(Duration::from_millis(10)).await;
                }
                drop(client);
            };
            let (first, ()) = tokio::join!(first_version(&stream), sends);
            assert_eq!(first.unwrap(), version, "{parts:?}");
            let mut left = String::new();
            stream.read_to_string(&mut left).await.unwrap();
            assert_eq!(left, parts.concat());
        }
    }
}
