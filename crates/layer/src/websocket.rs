//! An axum WebSocket that closes itself once the authority behind it has ended.

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use caracal_revocation_state::{Cut, RevokedSignal};
use tokio::time::timeout;

use crate::CutError;
use crate::limits::WEBSOCKET_CLOSE;

/// The close code for authority that has ended: "unauthorized", in the range for applications.
const UNAUTHORIZED: u16 = 4401;

/// An axum WebSocket that closes with code 4401 and a reason, such as `revoked`, once the authority
/// behind it has ended.
///
/// It closes while [`recv`](Self::recv) or [`send`](Self::send) waits, or at the next call of them.
/// If a handler also waits for other events, it must await a clone of the [`RevokedSignal`] at the
/// same time: no layer can end a connection that was upgraded.
///
/// ```
/// use axum::extract::ws::WebSocketUpgrade;
/// use axum::response::Response;
/// use axum::Extension;
/// use caracal_revocation_layer::GuardedWebSocket;
/// use caracal_revocation_state::Admission;
///
/// async fn echo(upgrade: WebSocketUpgrade, Extension(admission): Extension<Admission>) -> Response {
///     upgrade.on_upgrade(async move |socket| {
///         let mut socket = GuardedWebSocket::new(socket, admission.revoked());
///         while let Some(Ok(message)) = socket.recv().await {
///             if socket.send(message).await.is_err() {
///                 return;
///             }
///         }
///     })
/// }
/// # let _: axum::Router = axum::Router::new().route("/echo", axum::routing::any(echo));
/// ```
#[derive(Debug)]
pub struct GuardedWebSocket {
    /// `None` once a cut has closed it.
    socket: Option<WebSocket>,
    revoked: RevokedSignal,
}

impl GuardedWebSocket {
    /// Guards the socket with the signal of the request that was upgraded.
    pub const fn new(socket: WebSocket, revoked: RevokedSignal) -> Self {
        Self { socket: Some(socket), revoked }
    }

    /// Returns the next message, or `None` once the socket is closed, by either side. No message is
    /// lost if the future is dropped while it waits.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        let socket = self.socket.as_mut()?;
        let cut = tokio::select! {
            biased;
            cut = &mut self.revoked => cut,
            message = socket.recv() => return message,
        };
        self.close(cut).await;
        None
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// An error of the socket, or a [`CutError`] once the authority behind it has ended.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        if let Some(socket) = &mut self.socket {
            let cut = tokio::select! {
                biased;
                cut = &mut self.revoked => cut,
                sent = socket.send(message) => return sent,
            };
            self.close(cut).await;
        }
        // The socket is `None` only after a cut.
        Err(self
            .revoked
            .cut()
            .map_or_else(|| Error::new("closed"), |cut| Error::new(CutError::new(cut))))
    }

    async fn close(&mut self, cut: Cut) {
        let Some(mut socket) = self.socket.take() else { return };
        let frame = CloseFrame { code: UNAUTHORIZED, reason: cut.label().into() };
        let closing = async {
            socket.send(Message::Close(Some(frame))).await?;
            // A connection that is dropped with unread bytes is reset, and the frame is lost.
            while let Some(Ok(_)) = socket.recv().await {}
            Ok::<_, Error>(())
        };
        // After the timeout, a client that does not answer or does not read is disconnected.
        let _ = timeout(WEBSOCKET_CLOSE, closing).await;
    }
}
