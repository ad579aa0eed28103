//! Tests of token requests, correct and malformed.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use caracal_revocation_event::{KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{ManualClock, Options, RevocationsWriter};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::{RequestDenial, RequestDenialKind, StsBody, StsLayer};
use RequestDenialKind::{
    MalformedClaims, MalformedForm, MalformedToken, RepeatedField, Revoked, Suspended, Unknown,
};

mod bodies;
mod requests;

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
