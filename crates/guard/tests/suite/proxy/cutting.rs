//! Every kind of running response and upload ends when its authority is revoked.

use super::Proxied;
use super::eventually;
use super::service::Service;
use crate::exchange::{header, status};

#[tokio::test(flavor = "multi_thread")]
async fn cuts_event_stream_with_last_event() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut client = proxied.open("ar-1", "GET", "/sse", &[]).await;
    let mut other = proxied.open("ar-2", "GET", "/sse", &[]).await;
    client.read_until("data: 1\n\n").await;
    other.read_until("data: 1\n\n").await;
    proxied.world.revoke("ar-1").await;
    let response = client.read_all().await;
    assert!(response.contains("event: revoked\ndata: {\"reason\":\"revoked\""), "{response}");
    assert!(!response.ends_with("0\r\n\r\n"), "looks whole: {response}");
    eventually("the service's response is dropped", || service.seen.dropped() == 1).await;
    assert!(!other.text().contains("revoked"));
    let cuts = r#"caracal_resource_cuts_total{part="event_stream",reason="revoked",front="proxy"}"#;
    assert_eq!(proxied.guard.metric(cuts).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_response_never_looks_whole() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut chunked = proxied.open("ar-1", "GET", "/chunked", &[]).await;
    let mut length = proxied.open("ar-1", "GET", "/length", &[]).await;
    let mut trailer =
        proxied.open("ar-1", "GET", "/chunked", &["TE: trailers", "Connection: TE, close"]).await;
    let mut old = proxied.open("ar-1", "GET", "/length", &[]).await;
    chunked.read_until("chunk").await;
    length.read_until("ten bytes").await;
    trailer.read_until("chunk").await;
    old.read_until("ten bytes").await;
    proxied.world.revoke("ar-1").await;
    let response = chunked.read_all().await;
    assert_eq!(header(&response, "transfer-encoding"), Some("chunked"));
    assert!(!response.ends_with("0\r\n\r\n"), "looks whole: {response}");
    let response = length.read_all().await;
    assert_eq!(header(&response, "content-length"), Some("1000000"));
    assert!(response.len() < 1_000_000);
    let response = trailer.read_all().await;
    assert!(response.ends_with("0\r\nx-caracal-revoked: true\r\n\r\n"), "{response}");
    eventually("the service's responses are dropped", || service.seen.dropped() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_upload_and_answers_the_denial() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let sid = framing.replace([':', ' '], "-");
        let mut client = proxied.open(&sid, "POST", "/upload", &[framing]).await;
        let before = service.seen.uploaded();
        client.send(b"4\r\nhalf\r\n").await;
        eventually("a part of the upload", || service.seen.uploaded() > before).await;
        proxied.world.revoke(&sid).await;
        let response = client.read_until("session_revoked").await;
        assert_eq!(status(&response), 401, "{response}");
        eventually("the service's end", || service.seen.upload_end().is_some()).await;
        assert!(service.seen.upload_end().unwrap().is_err(), "the upload looks whole: {framing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_request_that_waits_for_an_answer() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut client = proxied.open("ar-1", "GET", "/never", &["Connection: close"]).await;
    eventually("the request is at the service", || service.seen.versions().len() == 1).await;
    proxied.world.revoke("ar-1").await;
    let response = client.read_all().await;
    assert_eq!(status(&response), 401, "{response}");
    eventually("the service's handler is dropped", || service.seen.dropped() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_both_directions_of_an_echo() {
    let service = Service::start().await;
    let proxied = Proxied::start(&service.url(), "").await;
    let mut client = proxied.open("ar-1", "POST", "/echo", &["Transfer-Encoding: chunked"]).await;
    client.send(b"3\r\none\r\n").await;
    client.read_until("one").await;
    proxied.world.revoke("ar-1").await;
    let response = client.read_all().await;
    assert!(!response.contains("0\r\n"), "looks whole: {response}");
}
