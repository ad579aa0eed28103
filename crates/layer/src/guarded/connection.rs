//! The connection of a request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

/// The id of the connection that a request came on, in the request's extensions.
///
/// It is optional. If one revocation cuts many HTTP/2 requests, those of one connection then end one
/// after the other, and their ends leave in fewer writes. That leaves more processor time to other
/// requests. The id has no other effect, so two connections with the same id do no harm. Over
/// HTTP/1, where each connection has one request at a time, the layer does not read it.
///
/// The address of the peer serves as an id. tonic leaves it in `TcpConnectInfo`. With axum:
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::extract::{ConnectInfo, Request};
/// use axum::{Router, middleware::map_request};
/// # use caracal_revocation_layer::GatewayLayer;
/// use caracal_revocation_layer::ConnectionId;
///
/// async fn name_connection(
///     ConnectInfo(peer): ConnectInfo<SocketAddr>,
///     mut request: Request,
/// ) -> Request {
///     request.extensions_mut().insert(ConnectionId::from(peer));
///     request
/// }
///
/// # async fn example(
/// #     listener: tokio::net::TcpListener, router: Router, gateway: GatewayLayer,
/// # ) -> std::io::Result<()> {
/// // The layer that is added last is the outermost.
/// let app = router.layer(gateway).layer(map_request(name_connection));
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub(super) u32);

impl ConnectionId {
    /// Creates an id from a number, such as a count of accepted connections.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }
}

impl From<SocketAddr> for ConnectionId {
    /// Creates an id from the address of the peer.
    fn from(peer: SocketAddr) -> Self {
        let mut hasher = DefaultHasher::new();
        peer.hash(&mut hasher);
        let [_, _, _, _, id @ ..] = hasher.finish().to_be_bytes();
        Self(u32::from_be_bytes(id))
    }
}
