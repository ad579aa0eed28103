//! WebSockets and other upgraded connections through the proxy.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::service::Service;
use super::{Client, DEADLINE, Proxied, eventually};
use crate::exchange::status;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(proxied: &Proxied, sid: &str) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{}/ws", proxied.address).into_client_request().unwrap();
    let token = format!("Bearer {}", proxied.world.mint(sid)).parse().unwrap();
    request.headers_mut().insert("authorization", token);
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let (socket, response) = tokio_tungstenite::connect_async(request).await?;
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    Ok(socket)
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(DEADLINE, socket.next()).await.expect("in time");
    message.unwrap().unwrap()
}

/// Reads until the close frame, and returns its code and reason.
async fn close_of(socket: &mut Socket) -> (u16, String) {
    loop {
        match next(socket).await {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Message::Close(None) => panic!("closed without a reason"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn carries_websocket_messages_of_any_size() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut socket = connect(&proxied, "ar-1").await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("welcome"));
    for size in [0, 1, 125, 126, 65_536, 1 << 20] {
        let message = Message::binary(vec![7; size]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message, "{size}");
    }
    socket.close(None).await.unwrap();
    eventually("the service's socket is dropped", || service.seen.dropped() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_websocket_with_4401_when_it_is_cut() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut socket = connect(&proxied, "ar-1").await.unwrap();
    let mut other = connect(&proxied, "ar-2").await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("welcome"));
    assert_eq!(next(&mut other).await, Message::text("welcome"));
    proxied.world.revoke("ar-1").await;
    assert_eq!(close_of(&mut socket).await, (4401, "revoked".to_owned()));
    eventually("the service's socket is dropped", || service.seen.dropped() == 1).await;
    other.send(Message::text("still here")).await.unwrap();
    assert_eq!(next(&mut other).await, Message::text("still here"));
    let cuts = r#"caracal_resource_cuts_total{part="signal",reason="revoked",front="proxy"}"#;
    assert_eq!(proxied.guard.metric(cuts).await, Some(1.0));
    let denied = connect(&proxied, "ar-1").await.unwrap_err();
    assert!(matches!(denied, tungstenite::Error::Http(response) if response.status() == 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_websocket_with_1001_when_the_program_stops() {
    let service = Service::start().await;
    let mut proxied = Proxied::start(&service.url(), "").await;
    let mut socket = connect(&proxied, "ar-1").await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("welcome"));
    proxied.guard.signal("TERM");
    assert_eq!(close_of(&mut socket).await, (1001, String::new()));
    drop(socket);
    let start = std::time::Instant::now();
    while !proxied.guard.has_ended() {
        assert!(start.elapsed() < DEADLINE, "still running");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!proxied.guard.log().contains("broken off"), "{}", proxied.guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_websocket_counts_as_a_connection() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "[limits]\nconnections = 1\n").await;
    let mut socket = connect(&proxied, "ar-1").await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("welcome"));
    let more = ["Content-Length: 0", "Connection: close"];
    let mut second = proxied.open("ar-2", "POST", "/upload", &more).await;
    let early =
        tokio::time::timeout(std::time::Duration::from_millis(300), second.read_all()).await;
    assert!(early.is_err(), "{early:?}");
    socket.close(None).await.unwrap();
    assert!(second.read_all().await.ends_with("whole"));
}

/// A service that switches to any protocol, sends these bytes, and then echoes.
async fn switching(protocol: &'static str, first: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(first).await;
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    format!("http://{address}")
}

async fn upgrade(proxied: &Proxied, protocol: &str) -> Client {
    let upgrade = format!("Upgrade: {protocol}");
    proxied.open("ar-1", "GET", "/", &["Connection: Upgrade", &upgrade]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_inside_a_frame_sends_no_close_frame() {
    // The first three of 100 bytes.
    let service = switching("websocket", b"\x82\x64abc").await;
    let proxied = Proxied::start(&service, "").await;
    let mut client = upgrade(&proxied, "websocket").await;
    client.read_until("abc").await;
    proxied.world.revoke("ar-1").await;
    assert!(client.read_all().await.ends_with("\r\n\r\n\u{fffd}dabc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_other_protocols_only_if_configured() {
    let service = switching("chat/2", b"welcome").await;
    let proxied = Proxied::start(&service, "[proxy]\nupgrades = [\"chat\"]\n").await;
    // The service switches without having been asked to.
    for protocol in ["websocket", "chat/2", "h2c"] {
        let response = upgrade(&proxied, protocol).await.read_until("\r\n\r\n").await;
        assert_eq!(status(&response), 502, "{response}");
    }
    let service = switching("chat", b"welcome").await;
    let proxied = Proxied::start(&service, "[proxy]\nupgrades = [\"chat\"]\n").await;
    let mut client = upgrade(&proxied, "chat").await;
    client.read_until("welcome").await;
    client.send(b" and back").await;
    let response = client.read_until(" and back").await;
    assert_eq!(status(&response), 101, "{response}");
    proxied.world.revoke("ar-1").await;
    assert!(client.read_all().await.ends_with("welcome and back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_upgrade_stays_http() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    // The service wants a key for its handshake: it answers 400 itself.
    let more = ["Connection: close, Upgrade", "Upgrade: websocket"];
    let mut client = proxied.open("ar-1", "GET", "/ws", &more).await;
    let hidden = b"GET /upload HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(hidden).await;
    let response = client.read_all().await;
    assert_eq!(status(&response), 400, "{response}");
    assert_eq!(service.seen.versions().len(), 1);
    let more = ["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 4"];
    let response = proxied.request("ar-1", "GET", "/ws", &more, b"body").await;
    assert_eq!(status(&response), 400, "{response}");
    assert!(response.contains("an upgrade has no body"), "{response}");
}
