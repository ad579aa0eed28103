//! HTTP/2 on either side, in every combination.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::service::Service;
use super::{DEADLINE, Proxied, eventually};
use crate::upstream::Upstream;

/// Opens an HTTP/2 connection to the proxy.
async fn connect(proxied: &Proxied) -> SendRequest<Body> {
    let stream = TcpStream::connect(proxied.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(proxied: &Proxied, sid: &str, method: &str, path: &str) -> http::request::Builder {
    let token = format!("Bearer {}", proxied.world.mint(sid));
    let uri = format!("http://api.example{path}");
    Request::builder().method(method).uri(uri).header("authorization", token)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

async fn next_data(response: &mut Response<Incoming>) -> Bytes {
    soon(response.frame()).await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_http2_request_over_http1() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let mut client = connect(&proxied).await;
    let head = request(&proxied, "ar-1", "POST", "/a?b")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-caracal-subject", "forged");
    let response = soon(client.send_request(head.body(Body::from("body")).unwrap())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "hello");
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    assert_eq!((received.method.as_str(), received.uri.as_str()), ("POST", "/a?b"));
    assert_eq!(received.body, "body");
    for (name, values) in [
        ("host", &["api.example"][..]),
        ("cookie", &["a=1; b=2"]),
        ("content-length", &["4"]),
        ("x-caracal-subject", &["agent-1"]),
        ("x-forwarded-host", &["api.example"]),
    ] {
        assert_eq!(received.all(name), values, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_body_without_length_over_http1() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let mut client = connect(&proxied).await;
    for (method, content, coding) in [
        ("GET", Some("body"), Some("chunked")),
        ("POST", Some("body"), Some("chunked")),
        ("GET", None, None),
        ("DELETE", None, None),
    ] {
        let body = match content {
            Some(content) => {
                let (mut sender, frames) = channel();
                sender.send(Frame::data(content.into()));
                Body::new(StreamBody::new(frames))
            }
            None => Body::empty(),
        };
        let head = request(&proxied, "ar-1", method, "/").body(body).unwrap();
        let response = soon(client.send_request(head)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{method} {content:?}");
        let [received] = &upstream.take()[..] else { panic!("not one request") };
        assert_eq!(received.body, content.unwrap_or_default(), "{method}");
        assert_eq!(received.all("content-length"), [""; 0], "{method} {content:?}");
        assert_eq!(
            received.all("transfer-encoding"),
            Vec::from_iter(coding),
            "{method} {content:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announces_empty_body_over_http1() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let stream = TcpStream::connect(proxied.address).await.unwrap();
    // hyper's client would announce the length itself.
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let head = request(&proxied, "ar-1", "POST", "/").body(()).unwrap();
    let (response, _) = client.send_request(head, true).unwrap();
    assert_eq!(soon(response).await.unwrap().status(), StatusCode::OK);
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    assert_eq!(received.all("content-length"), ["0"]);
    assert_eq!(received.all("transfer-encoding"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_http2_request_with_two_hosts() {
    let upstream = Upstream::start().await;
    let proxied = Proxied::start(&format!("http://{}", upstream.address), "").await;
    let mut client = connect(&proxied).await;
    for host in ["other.example", "api.example:81", "a b"] {
        let head = request(&proxied, "ar-1", "GET", "/").header("host", host);
        let sent = soon(client.send_request(head.body(Body::empty()).unwrap())).await;
        // h2 itself may reset the stream.
        let status = sent.map_or(StatusCode::BAD_REQUEST, |response| response.status());
        assert_eq!(status, StatusCode::BAD_REQUEST, "{host}");
        client = connect(&proxied).await;
    }
    assert_eq!(upstream.take(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_every_request_over_http2_if_configured() {
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address);
    let proxied = Proxied::start(&url, "[proxy]\nupstream_http2 = true\n").await;
    let more = ["Content-Length: 4", "Connection: X-Dropped", "X-Dropped: 1", "Keep-Alive: 5"];
    let response = proxied.request("ar-1", "POST", "/a?b", &more, b"body").await;
    assert!(response.ends_with("hello"), "{response}");
    let [received] = &upstream.take()[..] else { panic!("not one request") };
    // The service sees the client's host as `:authority`, which axum puts into the URI.
    assert_eq!(received.uri, "http://api.example/a?b");
    assert_eq!(received.body, "body");
    assert_eq!(received.all("x-caracal-subject"), ["agent-1"]);
    for name in ["host", "connection", "x-dropped", "keep-alive", "transfer-encoding"] {
        assert_eq!(received.all(name), [""; 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_with_trailers_over_http2_on_both_sides() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "[proxy]\nupstream_http2 = true\n").await;
    let mut client = connect(&proxied).await;
    let (mut sender, frames) = channel();
    let body = Body::new(StreamBody::new(frames));
    let head = request(&proxied, "ar-1", "POST", "/echo").header("te", "trailers");
    let sent = client.send_request(head.body(body).unwrap());
    sender.send(Frame::data("one".into()));
    let mut response = soon(sent).await.unwrap();
    assert_eq!(next_data(&mut response).await, "one");
    sender.send(Frame::data("two".into()));
    assert_eq!(next_data(&mut response).await, "two");
    let mut trailers = HeaderMap::new();
    for name in ["x-own", "x-caracal-subject", "x_caracal_zone", "authorization", "forwarded"] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    sender.send(Frame::trailers(trailers));
    let end = soon(response.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(end["x-sum"], "[x-own]");
    assert_eq!(service.seen.versions(), ["HTTP/2.0"]);
}

/// The sender of a body that a test writes frame by frame.
struct FrameSender(tokio::sync::mpsc::UnboundedSender<Frame<Bytes>>);

impl FrameSender {
    fn send(&mut self, frame: Frame<Bytes>) {
        self.0.send(frame).unwrap();
    }
}

fn channel()
-> (FrameSender, impl futures_util::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let frames = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    });
    (FrameSender(sender), frames.boxed())
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_http2_streams_and_leaves_the_others() {
    for config in ["", "[proxy]\nupstream_http2 = true\n"] {
        let service = Service::start().await;
        let proxied = Proxied::start(&service.url(), config).await;
        let mut client = connect(&proxied).await;
        let mut responses = Vec::new();
        for (sid, path) in [("ar-1", "/chunked"), ("ar-1", "/length"), ("ar-2", "/chunked")] {
            let head = request(&proxied, sid, "GET", path);
            let sent = soon(client.send_request(head.body(Body::empty()).unwrap())).await;
            let mut response = sent.unwrap();
            next_data(&mut response).await;
            responses.push(response);
        }
        let never = request(&proxied, "ar-1", "GET", "/never").body(Body::empty()).unwrap();
        let never = tokio::spawn(client.send_request(never));
        eventually("all requests are at the service", || service.seen.versions().len() == 4).await;
        proxied.world.revoke("ar-1").await;
        let mut other = responses.pop().unwrap();
        for response in responses {
            let error = soon(response.collect()).await.expect_err("looks whole");
            let reset = std::error::Error::source(&error).unwrap().to_string();
            assert!(reset.contains("stream error"), "{reset}");
        }
        let denied = soon(never).await.unwrap().unwrap();
        assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
        eventually("the service's parts are dropped", || service.seen.dropped() == 3).await;
        next_data(&mut other).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_http2_upload() {
    for config in ["", "[proxy]\nupstream_http2 = true\n"] {
        let service = Service::start().await;
        let proxied = Proxied::start(&service.url(), config).await;
        let mut client = connect(&proxied).await;
        let (mut sender, frames) = channel();
        let body = Body::new(StreamBody::new(frames));
        let head = request(&proxied, "ar-1", "POST", "/upload").body(body).unwrap();
        let sent = tokio::spawn(client.send_request(head));
        sender.send(Frame::data("half".into()));
        eventually("a part of the upload", || service.seen.uploaded() == 4).await;
        proxied.world.revoke("ar-1").await;
        let response = soon(sent).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        eventually("the service's end", || service.seen.upload_end().is_some()).await;
        assert!(service.seen.upload_end().unwrap().is_err(), "the upload looks whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_more_connections_than_one_service_connection_has_streams() {
    let service = Service::start().await;
    let limits = "[limits]\nstreams = 1000\n[proxy]\nupstream_http2 = true\n";
    let proxied = Proxied::start(&service.url(), limits).await;
    let mut client = connect(&proxied).await;
    let mut responses = Vec::new();
    // hyper's server allows 200 streams on a connection.
    for _ in 0..450 {
        let head = request(&proxied, "ar-1", "GET", "/sse").body(Body::empty()).unwrap();
        let mut response = soon(client.send_request(head)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        next_data(&mut response).await;
        responses.push(response);
    }
    proxied.world.revoke("ar-1").await;
    for response in responses {
        // The last event, and then a reset.
        soon(response.collect()).await.expect_err("looks whole");
    }
    eventually("all of the service's responses are dropped", || service.seen.dropped() == 450)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_concurrent_streams_of_a_client() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "[limits]\nstreams = 2\n").await;
    let stream = TcpStream::connect(proxied.address).await.unwrap();
    let (_sender, mut connection) = h2::client::handshake(stream).await.unwrap();
    let settled = std::future::poll_fn(|cx| {
        let _ = std::pin::Pin::new(&mut connection).poll(cx);
        match connection.max_concurrent_send_streams() {
            2 => std::task::Poll::Ready(()),
            _ => std::task::Poll::Pending,
        }
    });
    soon(settled).await;
}
