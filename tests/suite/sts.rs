//! A token endpoint behind the layer, on real sockets, with requests sent byte for byte.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation::StsLayer;
use caracal_revocation::wire::MessageBuilder;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;

use crate::live::{ZONE, caught_up, follow, publisher};
use crate::redis_server::RedisServer;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// Starts a token endpoint that echoes the request body. `ar-1`, `gs-1` and `de-1` are revoked.
async fn start(server: &RedisServer, deadline: Duration) -> SocketAddr {
    let (revocations, publisher) = (follow(server).await, publisher(server).await);
    let revoke = || MessageBuilder::revoke(ZONE, "operator");
    for message in
        [revoke().session("ar-1"), revoke().agent_session("gs-1"), revoke().delegation_edge("de-1")]
    {
        publisher.publish(message).await.unwrap();
    }
    caught_up(&revocations, &publisher).await;
    let app = Router::new()
        .route("/oauth/2/token", post(async |body: Bytes| body))
        .layer(StsLayer::new(revocations).with_body_deadline(deadline))
        .route("/open", post(async |body: Bytes| body));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends these pieces and reads one response: its status and its body.
async fn send(address: SocketAddr, pieces: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // A server that has already answered may have closed.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.expect("a length") {
                return (head[9..12].parse().unwrap(), body.to_owned());
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => panic!("incomplete response: {text}"),
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
}

fn head(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: sts\r\n{more}\r\n")
}

fn with_body(path: &str, body: &str) -> String {
    format!("{}{body}", head(path, &format!("{FORM}content-length: {}\r\n", body.len())))
}

fn error(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn revoked_authority_gets_no_token_in_any_field_or_framing() {
    let server = RedisServer::start();
    let address = start(&server, Duration::from_secs(60)).await;
    let token = |payload: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
    let subject = token(r#"{"sid":"ar-2","agent_session_id":"gs-1","iat":1,"exp":2}"#);
    for body in [
        "session_id=ar-1".to_owned(),
        "grant_type=x&agent_session_id=g%73-1".into(),
        "delegation_edge_id=de-1&scope=a+b".into(),
        format!("subject_token={subject}"),
    ] {
        let (status, answer) = send(address, &[&with_body("/oauth/2/token", &body)]).await;
        assert_eq!((status, error(&answer).as_str()), (401, "invalid_token"), "{body}");
        // Send the same body in chunks of one byte, and the head in two pieces.
        let mut pieces = vec![
            "POST /oauth/2/token HTTP/1.1\r\nhost: sts\r\n".to_owned(),
            format!("{FORM}transfer-encoding: chunked\r\n\r\n"),
        ];
        pieces.extend(body.chars().map(|letter| format!("1\r\n{letter}\r\n")));
        pieces.push("0\r\n\r\n".to_owned());
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (status, answer) = send(address, &pieces).await;
        assert_eq!((status, error(&answer).as_str()), (401, "invalid_token"), "{body}");
    }
}

#[tokio::test]
async fn other_requests_reach_the_sts_untouched() {
    let server = RedisServer::start();
    let address = start(&server, Duration::from_secs(60)).await;
    let body = "session_id=ar-2&client_secret=%FF%fe&x=%41+b&&c&x=2";
    let sent = send(address, &[&with_body("/oauth/2/token", body)]).await;
    assert_eq!(sent, (200, body.to_owned()));
    let chunked = head("/oauth/2/token", &format!("{FORM}transfer-encoding: chunked\r\n"));
    let pieces = [&chunked, "6\r\nscope=\r\n", "1;x=y\r\nz\r\n", "0\r\n\r\n"];
    assert_eq!(send(address, &pieces).await, (200, "scope=z".to_owned()));
    let body = "session_id=ar-1&session_id=ar-1";
    assert_eq!(send(address, &[&with_body("/open?a=b", body)]).await, (200, body.to_owned()));
}

#[tokio::test]
async fn denies_in_nests_and_on_routes() {
    let server = RedisServer::start();
    let (revocations, publisher) = (follow(&server).await, publisher(&server).await);
    publisher.publish(MessageBuilder::revoke(ZONE, "operator").session("ar-1")).await.unwrap();
    caught_up(&revocations, &publisher).await;
    let layer = || StsLayer::new(revocations.clone());
    let token = || post(async |body: Bytes| body);
    let nested = Router::new().route("/2/token", token()).layer(layer());
    let app = Router::new()
        .nest("/oauth", nested)
        .route("/exchange", token().layer(layer()))
        .nest_service("/v1/oauth/2/token", layer().layer(Router::new().route("/", token())))
        .nest("/v2", Router::new().route("/{tenant}/tokens", token()).route_layer(layer()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    for path in ["/oauth/2/token", "/exchange", "/v1/oauth/2/token/", "/v2/t-1/tokens"] {
        let (status, answer) = send(address, &[&with_body(path, "session_id=ar-1")]).await;
        assert_eq!(status, 401, "{path} {answer}");
        assert_eq!(error(&answer), "invalid_token");
        let forwarded = send(address, &[&with_body(path, "session_id=ar-2")]).await;
        assert_eq!(forwarded, (200, "session_id=ar-2".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn malformed_or_late_form_gets_4xx() {
    let server = RedisServer::start();
    let address = start(&server, Duration::from_secs(60)).await;
    let hurried = start(&server, Duration::from_millis(200)).await;
    let rejected_at = async |address, pieces: &[&str]| {
        let (status, answer) = send(address, pieces).await;
        assert_eq!(error(&answer), "invalid_request");
        status
    };
    let rejected = async |pieces: &[&str]| rejected_at(address, pieces).await;
    let path = "/oauth/2/token";
    let json = head(path, "content-type: application/json\r\ncontent-length: 2\r\n") + "{}";
    assert_eq!(rejected(&[&json]).await, 415);
    let twice = with_body(path, "session_id=ar-2&session_id=ar-1");
    assert_eq!(rejected(&[&twice]).await, 400);
    let query = with_body("/oauth/2/token?session_id=ar-2", "session_id=ar-1");
    assert_eq!(rejected(&[&query]).await, 400);
    let announced = head(path, &format!("{FORM}content-length: 65537\r\n"));
    assert_eq!(rejected(&[&announced]).await, 413);
    let chunked = head(path, &format!("{FORM}transfer-encoding: chunked\r\n"));
    let chunk = format!("8000\r\n{}\r\n", "a".repeat(0x8000));
    assert_eq!(rejected(&[&chunked, &chunk, &chunk, "1\r\na\r\n"]).await, 413);
    let stalled = head(path, &format!("{FORM}content-length: 20\r\n")) + "session_id=ar";
    assert_eq!(rejected_at(hurried, &[&stalled]).await, 408);
    let dripping = "1\r\na\r\n";
    let mut pieces = vec![chunked.as_str()];
    pieces.extend(std::iter::repeat_n(dripping, 400));
    assert_eq!(rejected_at(hurried, &pieces).await, 408, "one byte at a time, beyond the deadline");
}
