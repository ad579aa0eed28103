//! Connections to the service over HTTP/2. A connection carries as many streams as the service
//! allows; when it is full, there is another one.
//!
//! hyper-util's client keeps one connection for each host. Requests beyond its streams would wait
//! there, for as long as the responses before them run.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caracal_revocation::gateway::BoxError;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::ServiceExt;

use super::connector::{Connector, is_late};
use super::error::ProxyError;
use super::upload::Upload;

/// The time between two pings of a connection with streams, and the time to answer one.
const PING: Duration = Duration::from_secs(20);

/// The number of times that a request is sent again because its connection closed before it.
const RETRIES: usize = 2;

type Failure = (ProxyError, BoxError);

/// An open stream, until this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    _open: Arc<()>,
}

#[derive(Clone)]
pub(super) struct Http2 {
    upstream: Uri,
    connector: Connector,
    connect: Duration,
    connections: Arc<Mutex<Vec<Connection>>>,
    /// Held while a connection is opened, so that a burst of requests opens one.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Connection {
    sender: SendRequest<Upload>,
    /// One clone for each stream, and one here.
    streams: Arc<()>,
    /// The number of streams that the service allows.
    room: Arc<AtomicUsize>,
}

impl Http2 {
    pub(super) fn new(upstream: Uri, connector: Connector, connect: Duration) -> Self {
        let connections = Arc::default();
        Self { upstream, connector, connect, connections, connecting: Arc::default() }
    }

    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Stream), Failure> {
        for _ in 0..RETRIES {
            let Connection { mut sender, streams, .. } = self.connection().await?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Stream { _open: streams })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err((ProxyError::Broken, error.into_error().into())),
                },
            }
        }
        Err((ProxyError::Broken, "the service closes every connection at once".into()))
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        if let Some(connection) = self.free() {
            return Ok(connection);
        }
        let connecting = async {
            let _connecting = self.connecting.lock().await;
            match self.free() {
                Some(connection) => Ok(connection),
                None => self.open().await,
            }
        };
        let late = |_| (ProxyError::ConnectTimeout, "no connection in time".into());
        tokio::time::timeout(self.connect, connecting).await.map_err(late)?
    }

    /// Returns a connection with room for a stream.
    fn free(&self) -> Option<Connection> {
        // Nothing panics under this lock.
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| !connection.sender.is_closed());
        let has_room = |connection: &&Connection| {
            let streams = Arc::strong_count(&connection.streams) - 1;
            streams < connection.room.load(Ordering::Relaxed)
        };
        connections.iter().find(has_room).cloned()
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let io = self.connector.clone().oneshot(self.upstream.clone()).await;
        let io = io.map_err(|error| match is_late(&*error) {
            true => (ProxyError::ConnectTimeout, error),
            false => (ProxyError::Unreachable, error),
        })?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(io)
            .await
            .map_err(|error| (ProxyError::Broken, error.into()))?;
        let room = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let allowed = Arc::clone(&room);
        let mut running = Box::pin(connection);
        // The end of the connection is seen at the sender.
        tokio::spawn(poll_fn(move |cx| {
            let ended = running.as_mut().poll(cx);
            allowed.store(running.current_max_send_streams(), Ordering::Relaxed);
            ended
        }));
        let connection = Connection { sender, streams: Arc::default(), room };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(connection.clone());
        Ok(connection)
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}
