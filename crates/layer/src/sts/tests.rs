//! Tests of token requests, correct and malformed.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use caracal_revocation_event::{KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use crate::{RequestDenial, RequestDenialKind, StsBody, StsLayer};
use RequestDenialKind::{
    BrokenBody, MalformedClaims, MalformedForm, MalformedToken, OversizedBody, QueryParameters,
    RepeatedField, Revoked, StalledBody, Suspended, Unknown, UnsupportedBody,
};

const FORM: &str = "application/x-www-form-urlencoded";
const UUID: &str = "0198b0c2-7d10-7a11-8f00-00000000abcd";

fn fresh() -> RevocationsWriter {
    let revocations =
        RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    revocations.confirm(revocations.now());
    revocations
}

fn apply(revocations: &RevocationsWriter, builder: MessageBuilder) {
    let stream = builder.stream();
    let fields = builder.into_fields(None, std::time::SystemTime::now());
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let message = Message::new(stream, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
    revocations.apply(&event, revocations.now());
}

/// Returns a state in which `ar-1`, `gs-1`, `de-1` and [`UUID`] are revoked.
fn revoked() -> RevocationsWriter {
    let revocations = fresh();
    for id in ["ar-1", "gs-1", "de-1", UUID] {
        apply(&revocations, MessageBuilder::revoke("z-1", "operator").session(id));
    }
    revocations
}

/// The denial that the client got, or the body that the STS got.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Denied(RequestDenialKind, u16),
    Forwarded(Bytes),
}

use Outcome::Forwarded;

async fn send<B>(layer: &StsLayer, request: Request<B>) -> Outcome
where
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: std::fmt::Debug,
{
    let seen = Arc::new(Mutex::new(None));
    let probe = Arc::clone(&seen);
    let service = layer.layer(service_fn(move |request: Request<StsBody<B>>| {
        let probe = Arc::clone(&probe);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            *probe.lock().unwrap() = Some(body);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("token")))
        }
    }));
    let response = service.oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap().take();
    match (response.extensions().get::<RequestDenial>(), seen) {
        (Some(rejection), None) => {
            let status = response.status().as_u16();
            assert!(response.headers()["content-type"] == "application/json");
            Outcome::Denied(rejection.kind(), status)
        }
        (None, Some(body)) => Forwarded(body),
        other => panic!("{other:?}"),
    }
}

fn post(body: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Request::post("/oauth/2/token").header("content-type", FORM).body(body).unwrap()
}

async fn send_form(body: &str) -> Outcome {
    send(&StsLayer::new(revoked().reader()), post(body)).await
}

fn denied(kind: RequestDenialKind, status: u16) -> Outcome {
    Outcome::Denied(kind, status)
}

fn token(payload: &str) -> String {
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

#[tokio::test]
async fn finds_revoked_authority_in_each_of_four_fields() {
    for body in [
        "session_id=ar-1".to_owned(),
        "agent_session_id=gs-1".into(),
        "delegation_edge_id=de-1".into(),
        format!("subject_token={}", token(r#"{"sid":"ar-1","iat":1,"exp":2}"#)),
        format!(
            "subject_token={}",
            token(r#"{"sid":"x","iat":1,"exp":2,"delegation_path":["de-1"]}"#)
        ),
        "grant_type=a%3Ab&session_id=ar-1&scope=x+y".into(),
        "session_id=ar-2&agent_session_id=gs-1".into(),
    ] {
        assert_eq!(send_form(&body).await, denied(Revoked, 401), "{body}");
    }
}

#[test]
fn log_names_claim_of_revoked_anchor() {
    use crate::gateway::tests::log::{install, logged};
    install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (body, anchor) in [
        ("session_id=ar-1".to_owned(), "sid"),
        ("agent_session_id=gs-1".into(), "agent_session"),
        ("delegation_edge_id=de-1".into(), "delegation"),
        ("session_id=x&delegation_edge_id=DE-1".into(), "delegation"),
        (format!("subject_token={}", token(r#"{"sid":"ar-1","iat":1,"exp":2}"#)), "sid"),
        (
            format!(
                "subject_token={}",
                token(r#"{"sid":"x","iat":1,"exp":2,"delegation_edge_id":"de-1"}"#)
            ),
            "delegation",
        ),
    ] {
        let log = logged(|| {
            assert_eq!(runtime.block_on(send_form(&body)), denied(Revoked, 401), "{body}");
        });
        assert!(log.contains(&format!(" anchor={anchor} ")), "{body}: {log}");
        // The request's own id is random, and may contain one of these.
        let fields = log.split_whitespace().filter(|field| !field.starts_with("request_id="));
        let shown: String = fields.map(str::to_lowercase).collect();
        assert!(["ar-1", "gs-1", "de-1"].iter().all(|id| !shown.contains(id)), "{body}: {log}");
    }
}

#[tokio::test]
async fn passes_other_authority_with_unchanged_body() {
    for body in [
        "session_id=ar-2".to_owned(),
        format!("subject_token={}&a=%41+b&&c", token(r#"{"sid":"ar-2","iat":1,"exp":2}"#)),
        "".into(),
        "grant_type=client_credentials&scope=ar-1".into(),
        "session_id=&agent_session_id=".into(),
        // In other fields, this layer checks only that the escapes are complete.
        "client_secret=%FF%fe&x=1&x=2&%C3%A4=%C3%A4".into(),
    ] {
        assert_eq!(send_form(&body).await, Forwarded(Bytes::from(body)));
    }
}

#[tokio::test]
async fn ignores_only_identity_tokens() {
    let id = "urn:ietf:params:oauth:token-type:id_token";
    let foreign = format!("subject_token=not.a.mandate&subject_token_type={id}");
    assert!(matches!(send_form(&foreign).await, Forwarded(_)));
    let escaped = foreign.replace(':', "%3A");
    assert!(matches!(send_form(&escaped).await, Forwarded(_)));
    let mandate = token(r#"{"sid":"ar-1","iat":1,"exp":2}"#);
    for other in ["urn:ietf:params:oauth:token-type:access_token", "id_token", "ID_TOKEN", ""] {
        let body = format!("subject_token={mandate}&subject_token_type={other}");
        assert_eq!(send_form(&body).await, denied(Revoked, 401), "{other}");
    }
    let twice = format!("subject_token={mandate}&subject_token_type={id}&subject_token_type=x");
    assert_eq!(send_form(&twice).await, denied(RepeatedField, 400));
    let named = format!("session_id=ar-1&{foreign}");
    assert_eq!(send_form(&named).await, denied(Revoked, 401), "the other fields still count");
}

#[tokio::test]
async fn no_spelling_hides_a_revoked_id() {
    for body in [
        "session_id=%61r-1",
        "session_id=%61%72%2D%31",
        "session%5Fid=ar-1",
        "session%5fid=ar%2d1",
        "%73ession_id=ar-1",
        "x=1&session_id=ar-1&y",
        "session_id=0198B0C2-7D10-7A11-8F00-00000000ABCD",
        "session_id=0198b0c27d107a118f0000000000abcd",
        "session_id=%7B0198b0c2-7d10-7a11-8f00-00000000abcd%7D",
        "session_id=AR-1",
    ] {
        assert_eq!(send_form(body).await, denied(Revoked, 401), "{body}");
    }
}

#[tokio::test]
async fn denies_forms_with_two_readings() {
    for body in [
        "session_id=ar-2&session_id=ar-1",
        "session_id=ar-1&session_id=ar-1",
        "session_id=ar-2&session%5Fid=ar-1",
        "session_id=&session_id=ar-1",
        "subject_token=a&subject_token=b",
        "agent_session_id=a&agent_session_id=b",
        "delegation_edge_id=a&delegation_edge_id=b",
    ] {
        assert_eq!(send_form(body).await, denied(RepeatedField, 400), "{body}");
    }
    for body in [
        "session_id=ar-1%20",
        "session_id=+ar-1",
        "session_id=ar-1%09",
        "session_id=ar-1%00",
        "session_id=ar%zz1",
        "session_id=ar-1%",
        "session_id=ar-1%4",
        "session_id=%ff",
        "client_secret=%f",
        "%ff=1",
        "Session_Id=ar-1",
        "session_id[]=ar-1",
        "session_id[0]=ar-1",
        "+session_id=ar-1",
        "session_id%20=ar-1",
        "x=1;session_id=ar-1",
        "x=1\nsession_id=ar-1",
        "\u{feff}session_id=ar-1",
        "session_id=\u{e4}",
    ] {
        assert_eq!(send_form(body).await, denied(MalformedForm, 400), "{body:?}");
    }
}

#[tokio::test]
async fn denies_subject_token_that_is_no_mandate() {
    let cases = [
        ("opaque".to_owned(), MalformedToken),
        (token("{}"), MalformedClaims),
        (token(r#"{"sid":"ar-2","sid":"ar-1","iat":1,"exp":2}"#), MalformedClaims),
    ];
    for (subject, kind) in cases {
        assert_eq!(send_form(&format!("subject_token={subject}")).await, denied(kind, 400));
    }
}

#[tokio::test]
async fn reads_only_uncompressed_utf8_forms() {
    let with = |name: &str, values: &[&str]| {
        let mut request = post("session_id=ar-1");
        let headers = request.headers_mut();
        headers.remove(name);
        for value in values {
            headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        request
    };
    let layer = StsLayer::new(revoked().reader());
    for good in [
        FORM,
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded ; charset=\"UTF-8\"",
        "application/x-www-form-urlencoded;",
    ] {
        let request = with("content-type", &[good]);
        assert_eq!(send(&layer, request).await, denied(Revoked, 401), "{good}");
    }
    for bad in [
        &[][..],
        &[""],
        &["application/json"],
        &["multipart/form-data; boundary=x"],
        &["text/plain"],
        &["application/x-www-form-urlencoded; charset=utf-16"],
        &["application/x-www-form-urlencoded; charset=utf-8; charset=utf-7"],
        &["application/x-www-form-urlencoded, application/json"],
        &[FORM, FORM],
    ] {
        let request = with("content-type", bad);
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{bad:?}");
    }
    let request = with("content-encoding", &["gzip"]);
    assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415));
    assert_eq!(send(&layer, with("content-encoding", &["identity"])).await, denied(Revoked, 401));
}

type Chunk = Result<Frame<Bytes>, &'static str>;

fn streamed(
    frames: impl futures_util::Stream<Item = Chunk>,
) -> Request<StreamBody<impl futures_util::Stream<Item = Chunk>>> {
    Request::post("/oauth/2/token")
        .header("content-type", FORM)
        .body(StreamBody::new(frames))
        .unwrap()
}

fn chunks(text: &str, size: usize) -> Vec<Chunk> {
    let bytes = text.as_bytes().chunks(size).map(Bytes::copy_from_slice);
    bytes.map(|chunk| Ok(Frame::data(chunk))).collect()
}

#[tokio::test]
async fn reads_body_of_many_chunks() {
    let layer = StsLayer::new(revoked().reader());
    for size in 1..8 {
        let frames = chunks("x=1&session_id=ar-1", size);
        let request = streamed(stream::iter(frames));
        assert_eq!(send(&layer, request).await, denied(Revoked, 401));
        let mut frames = chunks("session_id=ar-2", size);
        frames.insert(1, Ok(Frame::data(Bytes::new())));
        frames.push(Ok(Frame::trailers(HeaderMap::new())));
        let outcome = send(&layer, streamed(stream::iter(frames))).await;
        assert_eq!(outcome, Forwarded("session_id=ar-2".into()));
    }
}

#[tokio::test]
async fn accepts_body_of_64_kib_and_not_one_byte_more() {
    let layer = StsLayer::new(revoked().reader());
    let fits = format!("x={}", "a".repeat(65_534));
    assert_eq!(send(&layer, post(&fits)).await, Forwarded(fits.clone().into()));
    let long = format!("{fits}a");
    assert_eq!(send(&layer, post(&long)).await, denied(OversizedBody, 413));
    let endless = stream::iter(std::iter::repeat_with(|| Ok(Frame::data("aaaa".into()))));
    assert_eq!(send(&layer, streamed(endless)).await, denied(OversizedBody, 413));
    let mut announced = post("session_id=ar-2");
    announced.headers_mut().insert("content-length", "65537".parse().unwrap());
    assert_eq!(send(&layer, announced).await, denied(OversizedBody, 413));
}

#[test]
fn memory_depends_on_bytes_not_on_chunks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let layer = StsLayer::new(revoked().reader());
    let length = 64 * 1024;
    // Each chunk has its own allocation, which is freed unless the layer keeps it.
    let form = b"x=".iter().copied().chain(std::iter::repeat(b'a')).take(length);
    let bytes = form.map(|byte| Ok(Frame::data(Bytes::copy_from_slice(&[byte]))));
    let used = allocation_counter::measure(|| {
        let sent = runtime.block_on(send(&layer, streamed(stream::iter(bytes))));
        assert!(matches!(sent, Forwarded(body) if body.len() == length));
    });
    assert!(used.bytes_max < 8 * length as u64, "{used:?}");
}

#[tokio::test(start_paused = true)]
async fn denies_body_that_stalls_or_ends_early() {
    let layer = StsLayer::new(revoked().reader()).with_body_deadline(Duration::from_secs(10));
    let frames = chunks("session_id=ar-2", 4).into_iter();
    let stalled = futures_util::StreamExt::chain(stream::iter(frames), stream::pending());
    assert_eq!(send(&layer, streamed(stalled)).await, denied(StalledBody, 408));
    let broken = vec![Ok(Frame::data("session_id=ar-2".into())), Err("reset")];
    assert_eq!(send(&layer, streamed(stream::iter(broken))).await, denied(BrokenBody, 400));
}

/// Returns a request with one content type, or none.
fn request_of_type(path: &str, content_type: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).body(Full::<Bytes>::from(body)).unwrap();
    if !content_type.is_empty() {
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn passes_other_methods_and_bodies_unchanged() {
    let layer = StsLayer::new(revoked().reader());
    let body = "session_id=ar-1&session_id=ar-1";
    for (method, path) in [("PUT", "/oauth/2/token"), ("GET", "/oauth/2/token"), ("PUT", "/x")] {
        let mut request = request_of_type(path, FORM, body);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(send(&layer, request).await, Forwarded(body.into()));
    }
    for content_type in ["application/json", "text/plain", "application/grpc+proto; x"] {
        for path in ["/oauth/2/introspect", "/oauth/2/token/other", "/api?a=b"] {
            assert_eq!(
                send(&layer, request_of_type(path, content_type, body)).await,
                Forwarded(body.into())
            );
        }
    }
    assert_eq!(
        send(&layer, request_of_type("/logout", "", "")).await,
        Forwarded("".into()),
        "no body at all"
    );
}

#[tokio::test]
async fn reads_forms_at_every_path() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/token", "/exchange", "/", "/sts/oauth/2/token", "/oauth/2/token/other"] {
        let revoked = request_of_type(path, FORM, "session_id=ar-1");
        assert_eq!(send(&layer, revoked).await, denied(Revoked, 401), "{path}");
        let twice = request_of_type(path, FORM, "session_id=ar-2&session_id=ar-1");
        assert_eq!(send(&layer, twice).await, denied(RepeatedField, 400), "{path}");
        let other = request_of_type(path, FORM, "session_id=ar-2&token=x&token=y");
        assert!(matches!(send(&layer, other).await, Forwarded(_)), "{path}");
    }
}

#[tokio::test]
async fn denies_bodies_that_may_be_forms_at_every_path() {
    let layer = StsLayer::new(revoked().reader());
    let mut several = request_of_type("/exchange", FORM, "session_id=ar-1");
    several.headers_mut().append("content-type", "application/json".parse().unwrap());
    for request in [
        several,
        request_of_type("/exchange", "", "session_id=ar-1"),
        request_of_type("/exchange", "multipart/form-data; boundary=x", "--x"),
        request_of_type(
            "/exchange",
            "application/x-www-form-urlencoded, application/json",
            "session_id=ar-1",
        ),
        request_of_type(
            "/exchange",
            "application/x-www-form-urlencoded; charset=utf-7",
            "session_id=ar-1",
        ),
        request_of_type("/exchange", "json", "{}"),
        request_of_type("/exchange", "/", "{}"),
    ] {
        let shown = format!("{:?}", request.headers());
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{shown}");
    }
}

#[tokio::test]
async fn accepts_only_forms_at_token_endpoint_in_any_nest() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/oauth/2/token", "/2/token", "/token", "/", "/sts/oauth/2/token", "/%74oken/"] {
        let request = request_of_type(path, "application/json", "{}");
        assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415), "{path}");
    }
    let layer = layer.with_path("/exchange");
    let request = request_of_type("/sts/exchange", "application/json", "{}");
    assert_eq!(send(&layer, request).await, denied(UnsupportedBody, 415));
    let request = request_of_type("/oauth/2/token", "application/json", "{}");
    assert_eq!(send(&layer, request).await, Forwarded("{}".into()));
}

#[tokio::test]
async fn no_spelling_of_the_path_goes_around_the_layer() {
    let layer = StsLayer::new(revoked().reader());
    for path in [
        "/oauth/2/token?",
        "/oauth/2/token/",
        "//oauth/2//token",
        "/oauth/2/%74oken",
        "/OAuth/2/Token",
        "/./oauth/2/token",
    ] {
        let mut request = post("session_id=ar-1");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&layer, request).await, denied(Revoked, 401), "{path}");
    }
}

#[tokio::test]
async fn denies_query_in_addition_to_body() {
    let layer = StsLayer::new(revoked().reader());
    for path in ["/oauth/2/token?session_id=ar-1", "/oauth/2/token?x", "/oauth/2/token/?a=b"] {
        let mut request = post("session_id=ar-2");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send(&layer, request).await, denied(QueryParameters, 400), "{path}");
    }
}

#[tokio::test]
async fn denies_every_named_authority_while_state_is_unknown() {
    let revocations = fresh();
    revocations.raise_horizon(i64::MAX - 1);
    let layer = StsLayer::new(revocations.reader());
    let body =
        format!("session_id=ar-2&subject_token={}", token(r#"{"sid":"ar-2","iat":1,"exp":2}"#));
    assert!(matches!(send(&layer, post(&body)).await, Forwarded(_)), "the horizon does not apply");
    let unproven = RevocationsWriter::new(Options::default());
    apply(&unproven, MessageBuilder::revoke("z-1", "operator").session("ar-1"));
    let layer = StsLayer::new(unproven.reader());
    assert_eq!(send(&layer, post("session_id=ar-2")).await, denied(Unknown, 503));
    assert_eq!(send(&layer, post("session_id=ar-1")).await, denied(Revoked, 401));
    let bare = send(&layer, post("grant_type=client_credentials")).await;
    assert!(matches!(bare, Forwarded(_)), "it names no authority");
}

#[tokio::test]
async fn leaves_lifetime_of_subject_token_to_sts() {
    // Expired, overlong and early: the STS denies these tokens itself.
    for times in
        [r#""iat":1,"exp":2"#, r#""iat":1,"exp":4000000000"#, r#""iat":4000000000,"exp":9"#]
    {
        let body = |sid: &str| {
            format!("subject_token={}", token(&format!(r#"{{"sid":"{sid}",{times}}}"#)))
        };
        assert!(matches!(send_form(&body("ar-2")).await, Forwarded(_)), "{times}");
        assert_eq!(send_form(&body("ar-1")).await, denied(Revoked, 401), "{times}");
    }
}

#[tokio::test]
async fn suspended_session_gets_no_token_until_resumed() {
    let revocations = fresh();
    let layer = StsLayer::new(revocations.reader());
    let at = |text: &str| OccurredAt::parse(text).unwrap();
    apply(&revocations, MessageBuilder::suspend("z-1", "gs-2", at("2026-11-20T10:00:00.000Z")));
    assert_eq!(send(&layer, post("agent_session_id=gs-2")).await, denied(Suspended, 401));
    std::thread::sleep(Duration::from_millis(5));
    apply(&revocations, MessageBuilder::resume("z-1", "gs-2", at("2026-11-20T10:05:00.000Z")));
    assert!(matches!(send(&layer, post("agent_session_id=gs-2")).await, Forwarded(_)));
    let old = token(r#"{"sid":"ar-2","agent_session_id":"gs-2","iat":1,"exp":2}"#);
    let request = post(&format!("subject_token={old}"));
    assert_eq!(send(&layer, request).await, denied(Suspended, 401), "the old token is denied");
}
