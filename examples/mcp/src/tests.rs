use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
use caracal_revocation::{Follower, InProcess, Publisher};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;

use crate::{CALL, INITIALIZE, INITIALIZED, server};
use caracal_test_support::mandates::{Issuer, ZONE};

struct Mcp {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    token: String,
    session: Option<String>,
}

impl Mcp {
    async fn send(&self, method: Method, body: &'static str) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}/mcp", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        soon(self.client.request(request.body(Full::from(body)).unwrap())).await.unwrap()
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it does not end in time")
}

/// Reads the rest of a stream. Returns `true` if it ended with an error.
async fn rest(mut response: Response<Incoming>) -> (String, bool) {
    let mut text = String::new();
    loop {
        match soon(response.body_mut().frame()).await {
            Some(Ok(frame)) => {
                text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
            Some(Err(_)) => return (text, true),
            None => return (text, false),
        }
    }
}

#[tokio::test]
async fn revocation_ends_tool_call_and_both_event_streams() {
    let (streams, key) = (InProcess::new(), Key::generate().unwrap());
    let keys = KeyRing::new(key.clone());
    let revocations = Follower::in_process(&streams, keys).unwrap().spawn();
    soon(revocations.ready()).await;
    let issuer = Issuer::new().unwrap();
    let (report, mut reports) = mpsc::unbounded_channel();
    let watch = Arc::new(move |what: &str| drop(report.send(what.to_owned())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let at = format!("http://{address}");
    let app = server::routes(&at, revocations.clone(), issuer.clone(), watch).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::builder(TokioExecutor::new()).build_http();
    let token = issuer.mint("session-1").unwrap();
    let mut mcp = Mcp { client, address, token, session: None };
    let response = mcp.send(Method::POST, INITIALIZE).await;
    assert_eq!(response.status(), 200);
    let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(!rest(response).await.1);
    mcp.session = Some(session);
    assert_eq!(mcp.send(Method::POST, INITIALIZED).await.status(), 202);
    let listening = mcp.send(Method::GET, "").await;
    assert_eq!(listening.status(), 200);
    let calling = mcp.send(Method::POST, CALL).await;
    assert_eq!(calling.status(), 200);
    assert_eq!(soon(reports.recv()).await.unwrap(), "research started");

    let message = MessageBuilder::revoke(ZONE, "test").session("session-1");
    Publisher::in_process(&streams, Some(key)).publish(message).await.unwrap();

    assert_eq!(soon(reports.recv()).await.unwrap(), "research stopped: revoked");
    for stream in [listening, calling] {
        let (text, broken) = rest(stream).await;
        assert!(text.contains("event: revoked\ndata: {\"reason\":\"revoked\""), "{text}");
        assert!(broken && !text.contains("result"), "{text}");
    }
    assert_eq!(mcp.send(Method::POST, CALL).await.status(), 401);
}

#[tokio::test]
async fn client_without_token_finds_authorization_server() {
    let (streams, key) = (InProcess::new(), Key::generate().unwrap());
    let revocations = Follower::in_process(&streams, KeyRing::new(key)).unwrap().spawn();
    soon(revocations.ready()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (at, watch) = (format!("http://{address}"), Arc::new(|_: &str| ()));
    let app = server::routes(&at, revocations, Issuer::new().unwrap(), watch).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::builder(TokioExecutor::new()).build_http();
    let mcp = Mcp { client: client.clone(), address, token: String::new(), session: None };
    let response = mcp.send(Method::POST, INITIALIZE).await;
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    let url = challenge.strip_prefix("Bearer resource_metadata=\"").unwrap();
    let url = url.strip_suffix('"').unwrap();
    let request = Request::get(url).body(Full::default()).unwrap();
    let response = soon(client.request(request)).await.unwrap();
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["resource"], format!("{at}/mcp"));
    assert_eq!(document["authorization_servers"][0], "https://sts.example");
}
