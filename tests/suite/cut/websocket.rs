//! WebSockets, with a client of tungstenite.

use axum::Extension;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::any;
use caracal_revocation::Admission;
use caracal_revocation::gateway::GuardedWebSocket;
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Sent};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(address: SocketAddr, path: &str) -> Socket {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer ar-1".parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

async fn echo(
    upgrade: WebSocketUpgrade,
    Extension(admission): Extension<Admission>,
) -> axum::response::Response {
    upgrade.on_upgrade(async move |socket| {
        let mut socket = GuardedWebSocket::new(socket, admission.revoked());
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Sends as fast as the client reads, and never receives.
async fn send_endlessly(
    upgrade: WebSocketUpgrade,
    Extension(admission): Extension<Admission>,
) -> axum::response::Response {
    upgrade.on_upgrade(async move |socket| {
        let mut socket = GuardedWebSocket::new(socket, admission.revoked());
        while socket.send("more".into()).await.is_ok() {}
    })
}

/// A handler that ignores the revocation signal.
async fn ignore_signal(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

fn routes() -> Router {
    Router::new()
        .route("/echo", any(echo))
        .route("/pour", any(send_endlessly))
        .route("/deaf", any(ignore_signal))
}

/// Reads until the close frame and returns its code and reason.
async fn close_of(socket: &mut Socket) -> (u16, String) {
    loop {
        match soon(socket.next()).await.unwrap().unwrap() {
            Sent::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Sent::Close(None) => panic!("closed without a reason"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn closes_websocket_with_4401_and_a_reason() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let mut socket = connect(address, "/echo").await;
    socket.send(Sent::text("hello")).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Sent::text("hello"));
    scene.running(1).await;
    scene.revoke("ar-1");
    assert_eq!(close_of(&mut socket).await, (4401, "revoked".to_owned()));
    let end = soon(socket.next()).await;
    assert!(matches!(end, None | Some(Err(tungstenite::Error::ConnectionClosed))), "{end:?}");
    scene.running(0).await;
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Signal)]);
}

#[tokio::test]
async fn closes_websocket_that_only_sends() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let mut socket = connect(address, "/pour").await;
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Sent::text("more"));
    scene.running(1).await;
    scene.revoke("ar-1");
    assert_eq!(close_of(&mut socket).await, (4401, "revoked".to_owned()));
}

#[tokio::test]
async fn closed_websocket_leaves_nothing_registered() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let mut socket = connect(address, "/echo").await;
    socket.send(Sent::text("hello")).await.unwrap();
    scene.running(1).await;
    drop(socket);
    scene.running(0).await;
}

#[tokio::test]
async fn handler_without_signal_keeps_its_connection_as_documented() {
    let scene = Scene::new();
    let address = scene.serve(routes()).await;
    let mut socket = connect(address, "/deaf").await;
    scene.revoke("ar-1");
    socket.send(Sent::text("still here")).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Sent::text("still here"));
}
