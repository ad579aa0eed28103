//! Fuzzes the headers and the form that decide about a request: each is read as by an independent
//! reader, or rejected. The first byte of the input selects the reader; its lines are header lines.
#![no_main]

use std::convert::Infallible;

use caracal_revocation_layer::{RequestDenialKind, fuzzing};
use headers::Header as _;
use headers::authorization::{Authorization, Bearer};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, TE, TRAILER};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    match choice % 3 {
        0 => te(input),
        1 => authorization(input),
        _ => form(input),
    }
});

/// Returns the lines as hyper would read them: without surrounding white space.
fn lines(name: HeaderName, input: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').filter(|_| !input.is_empty()) {
        let line = line.trim_ascii();
        headers.append(name.clone(), HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}

/// Asserts that the layer promises a trailer exactly if hyper sends one.
fn te(input: &[u8]) {
    let Some(headers) = lines(TE, input).filter(|headers| headers.len() < 50) else { return };
    let mut request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".to_vec();
    for value in headers.get_all(TE) {
        request.extend([&b"te: "[..], value.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    let answer = RUNTIME.with(|runtime| runtime.block_on(send_to_hyper(&request)));
    if answer.starts_with(b"HTTP/1.1 200 ") {
        let sent = answer.ends_with(b"0\r\nx-end: 1\r\n\r\n");
        assert_eq!(fuzzing::takes_trailers(&headers), sent, "{headers:?}");
    }
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
}

async fn send_to_hyper(request: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(request).await.unwrap();
    let service = service_fn(async |_: Request<Incoming>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        let frames = [Frame::data(Bytes::from_static(b"a")), Frame::trailers(trailers)];
        let body = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
        let response = Response::builder().header(TRAILER, "x-end");
        response.body(StreamBody::new(body))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    let _ = connection.serve_connection(TokioIo::new(server), service).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    answer
}

/// Asserts that a token is read from exactly one RFC 6750 header line, and that any other header is
/// rejected.
fn authorization(input: &[u8]) {
    let Some(headers) = lines(AUTHORIZATION, input) else { return };
    let read = fuzzing::bearer(&headers);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let expected = match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(()),
        (Some(value), None) => token(value.as_bytes()).map(Some).ok_or(()),
    };
    assert_eq!(read.map_err(drop), expected, "{headers:?}");
    if let Ok(Some(token)) = read {
        let other = Authorization::<Bearer>::decode(&mut headers.get_all(AUTHORIZATION).iter());
        assert_eq!(other.unwrap().token(), token);
    }
    if headers.len() > 1 {
        assert_eq!(read, Err(RequestDenialKind::AmbiguousToken));
    }
}

/// Parses `Bearer`, one or more spaces, and 1 to 4096 characters of `b64token`.
fn token(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_start_matches(' ');
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let is_token = (1..=4096).contains(&token.len()) && token.chars().all(is_char);
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

/// Asserts that an accepted form means the same to the URL standard's parser, without a duplicate
/// field.
fn form(input: &[u8]) {
    let pairs: Vec<_> = form_urlencoded::parse(input).collect();
    let read = fuzzing::form(input);
    for field in FIELDS {
        let named = |name: &str| name.trim().eq_ignore_ascii_case(field);
        let all: Vec<_> = pairs.iter().filter(|(name, _)| named(name)).collect();
        match &read {
            Ok(values) => {
                let (_, value) = values.iter().find(|(name, _)| *name == field).unwrap();
                let other = all.first().map(|(name, value)| {
                    assert_eq!(name, field);
                    &**value
                });
                assert!(all.len() <= 1 && value.as_deref() == other, "{field}: {all:?}");
            }
            Err(RequestDenialKind::RepeatedField) => {}
            Err(kind) => assert_eq!(*kind, RequestDenialKind::MalformedForm),
        }
    }
    if read == Err(RequestDenialKind::RepeatedField) {
        let count = |field| pairs.iter().filter(|(name, _)| name == field).count();
        assert!(FIELDS.iter().any(|field| count(field) > 1), "{pairs:?}");
    }
}

const FIELDS: [&str; 5] =
    ["session_id", "agent_session_id", "delegation_edge_id", "subject_token", "subject_token_type"];
