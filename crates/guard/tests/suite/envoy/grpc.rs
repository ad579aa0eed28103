//! The protocol itself, with a client of gRPC in place of Envoy: no stream ends with OK while its
//! request needs a guard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Message;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse,
};
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::program::Guard;
use crate::world::{World, free_address};

const CUTS: &str =
    r#"caracal_resource_cuts_total{part="handler",reason="revoked",front="ext_proc"}"#;
const DENIALS: &str = r#"caracal_resource_denials_total{reason="revoked",front="ext_proc"}"#;

struct Setup {
    world: World,
    guard: Guard,
    channel: Channel,
}

async fn start(config: &str) -> Setup {
    let (world, address) = (World::start().await, free_address());
    let folder = tempfile::TempDir::with_prefix("guard-config-").unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, config).unwrap();
    let (file, listener) = (file.to_str().unwrap(), address.to_string());
    let guard = world.guard(&["--config", file, "--ext-authz", &listener]).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    Setup { world, guard, channel: channel.connect().await.unwrap() }
}

/// The stream of one request, as Envoy opens it.
struct Process {
    messages: Option<UnboundedSender<ProcessingRequest>>,
    answers: Streaming<ProcessingResponse>,
}

impl Process {
    async fn open(setup: &Setup) -> Self {
        let (messages, received) = unbounded_channel();
        let received = stream::unfold(received, async |mut received| {
            received.recv().await.map(|message| (message, received))
        });
        let mut client = ExternalProcessorClient::new(setup.channel.clone());
        let answers = client.process(Box::pin(received));
        let answers = tokio::time::timeout(Duration::from_secs(60), answers).await;
        let answers = answers.expect("no stream").unwrap().into_inner();
        Self { messages: Some(messages), answers }
    }

    /// Opens a stream whose request was approved.
    async fn approved(setup: &Setup, sid: &str) -> Self {
        let mut process = Self::open(setup).await;
        process.send(headers(&setup.world.mint(sid)));
        let answer = process.answer().await.unwrap();
        assert!(matches!(answer, Some(Answer::RequestHeaders(_))), "{answer:?}");
        process
    }

    fn send(&self, message: Message) {
        let request = Some(message);
        let message = ProcessingRequest { request, ..ProcessingRequest::default() };
        self.messages.as_ref().unwrap().send(message).unwrap();
    }

    /// Ends the client's side of the stream.
    fn half_close(&mut self) {
        self.messages = None;
    }

    /// Returns the next answer, `None` after an OK, or the error.
    async fn answer(&mut self) -> Result<Option<Answer>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.message()).await;
        let answer = answer.expect("no answer and no end")?;
        Ok(answer.map(|answer| answer.response.expect("an empty answer")))
    }

    /// Returns the code that the stream ends with.
    async fn end(&mut self) -> Code {
        match self.answer().await {
            Ok(None) => Code::Ok,
            Ok(Some(answer)) => panic!("not the end: {answer:?}"),
            Err(status) => status.code(),
        }
    }
}

fn headers(token: &str) -> Message {
    let all = [
        (":method", "GET".to_owned()),
        (":path", "/a".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("x-caracal-subject", "forged".to_owned()),
        ("x_caracal_subject", "forged".to_owned()),
    ];
    let header = |(key, value): (&str, String)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.into_bytes(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: all.into_iter().map(header).collect() });
    Message::RequestHeaders(HttpHeaders { headers, ..HttpHeaders::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_identity_and_removes_other_spellings() {
    let setup = start("").await;
    let mut process = Process::open(&setup).await;
    process.send(headers(&setup.world.mint("ar-1")));
    let Some(Answer::RequestHeaders(answer)) = process.answer().await.unwrap() else { panic!() };
    let mutation = answer.response.unwrap().header_mutation.unwrap();
    assert_eq!(mutation.remove_headers, ["x_caracal_subject"]);
    let set = mutation.set_headers.iter().filter_map(|option| {
        let header = option.header.as_ref()?;
        Some((header.key.as_str(), std::str::from_utf8(&header.raw_value).unwrap()))
    });
    let set: HashMap<_, _> = set.collect();
    assert_eq!(set["x-caracal-subject"], "agent-1");
    assert_eq!(set["x-caracal-session"], "ar-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_revoked_request_unasked() {
    let setup = start("").await;
    let mut process = Process::approved(&setup, "ar-1").await;
    setup.world.revoke("ar-1").await;
    let Some(Answer::ImmediateResponse(answer)) = process.answer().await.unwrap() else { panic!() };
    assert_eq!(answer.status.unwrap().code, 401);
    assert_eq!(answer.grpc_status.unwrap().status, 16);
    assert!(String::from_utf8(answer.body).unwrap().contains("session_revoked"));
    // It counts as cut, not as denied too.
    assert_eq!(setup.guard.metric(CUTS).await, Some(1.0));
    assert_eq!(setup.guard.metric(DENIALS).await, Some(0.0));
    process.half_close();
    assert_eq!(process.end().await, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_with_error_if_envoy_closes_its_side_early() {
    let setup = start("").await;
    let mut undecided = Process::open(&setup).await;
    undecided.half_close();
    assert_eq!(undecided.end().await, Code::Cancelled);
    let mut running = Process::approved(&setup, "ar-1").await;
    running.half_close();
    assert_eq!(running.end().await, Code::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_each_message_and_ends_with_ok_after_trailers() {
    let setup = start("").await;
    let mut process = Process::approved(&setup, "ar-1").await;
    let trailers = HttpTrailers::default;
    for (message, is_answer) in [
        (
            Message::RequestBody(HttpBody::default()),
            (|answer| matches!(answer, Answer::RequestBody(_))) as fn(&Answer) -> bool,
        ),
        (Message::RequestTrailers(trailers()), |answer| {
            matches!(answer, Answer::RequestTrailers(_))
        }),
        (Message::ResponseHeaders(HttpHeaders::default()), |answer| {
            matches!(answer, Answer::ResponseHeaders(_))
        }),
        (Message::ResponseBody(HttpBody::default()), |answer| {
            matches!(answer, Answer::ResponseBody(_))
        }),
        (Message::ResponseTrailers(trailers()), |answer| {
            matches!(answer, Answer::ResponseTrailers(_))
        }),
    ] {
        process.send(message);
        let answer = process.answer().await.unwrap().unwrap();
        assert!(is_answer(&answer), "{answer:?}");
    }
    process.half_close();
    assert_eq!(process.end().await, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_with_error_if_messages_come_in_another_order() {
    let setup = start("").await;
    let mut process = Process::open(&setup).await;
    process.send(Message::ResponseHeaders(HttpHeaders::default()));
    assert_eq!(process.end().await, Code::FailedPrecondition);
    let mut process = Process::approved(&setup, "ar-1").await;
    process.send(headers(&setup.world.mint("ar-2")));
    assert_eq!(process.end().await, Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread")]
async fn denies_description_without_path() {
    let setup = start("").await;
    let mut process = Process::open(&setup).await;
    process.send(Message::RequestHeaders(HttpHeaders::default()));
    let Some(Answer::ImmediateResponse(answer)) = process.answer().await.unwrap() else { panic!() };
    assert_eq!(answer.status.unwrap().code, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_observability_mode() {
    let setup = start("").await;
    let mut process = Process::open(&setup).await;
    let request = Some(headers(&setup.world.mint("ar-1")));
    let message =
        ProcessingRequest { request, observability_mode: true, ..ProcessingRequest::default() };
    process.messages.as_ref().unwrap().send(message).unwrap();
    assert_eq!(process.end().await, Code::FailedPrecondition);
    assert!(setup.guard.log().contains("observability_mode"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_running_streams_with_error_when_program_stops() {
    let mut setup = start("[limits]\ndrain_ms = 1000\n").await;
    let mut running = Process::approved(&setup, "ar-1").await;
    let mut undecided = Process::open(&setup).await;
    setup.guard.signal("TERM");
    assert_eq!(running.end().await, Code::Unavailable);
    assert_eq!(undecided.end().await, Code::Unavailable);
    let start = Instant::now();
    while !setup.guard.has_ended() {
        assert!(start.elapsed() < Duration::from_secs(20), "still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_revoked_request_while_program_stops() {
    let setup = start("[limits]\ndrain_ms = 60000\n").await;
    let mut running = Process::approved(&setup, "ar-1").await;
    setup.guard.signal("TERM");
    let start = Instant::now();
    while !setup.guard.log().contains("stopping") {
        assert!(start.elapsed() < Duration::from_secs(20), "not stopping");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    setup.world.revoke("ar-1").await;
    assert!(matches!(running.answer().await, Ok(Some(Answer::ImmediateResponse(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_running_streams_with_error_when_program_is_killed() {
    let mut setup = start("").await;
    let mut running = Process::approved(&setup, "ar-1").await;
    setup.guard.kill();
    assert_ne!(running.end().await, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_hundreds_of_streams_on_one_connection() {
    let setup = start("").await;
    let mut all = Vec::new();
    for _ in 0..500 {
        all.push(Process::approved(&setup, "ar-1").await);
    }
    setup.world.revoke("ar-1").await;
    for mut running in all {
        assert!(matches!(running.answer().await, Ok(Some(Answer::ImmediateResponse(_)))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forgets_stream_that_envoy_breaks_off() {
    let setup = start("").await;
    drop(Process::approved(&setup, "ar-1").await);
    let mut other = Process::approved(&setup, "ar-2").await;
    setup.world.revoke("ar-1").await;
    setup.world.revoke("ar-2").await;
    assert!(matches!(other.answer().await, Ok(Some(Answer::ImmediateResponse(_)))));
    assert_eq!(setup.guard.metric(CUTS).await, Some(1.0));
}

async fn check(setup: &Setup, http: Option<HttpRequest>) -> (i32, Option<HttpResponse>) {
    let request = Some(Request { http, ..Request::default() });
    let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
    let mut client = AuthorizationClient::new(setup.channel.clone());
    let response = client.check(CheckRequest { attributes }).await.unwrap().into_inner();
    (response.status.unwrap().code, response.http_response)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_denies_request_without_attributes() {
    let setup = start("").await;
    let mut client = AuthorizationClient::new(setup.channel.clone());
    let empty = client.check(CheckRequest::default()).await.unwrap().into_inner();
    let empty = (empty.status.unwrap().code, empty.http_response);
    let described = [None, Some(HttpRequest::default())].map(|http| check(&setup, http));
    let [none, default] = futures_util::future::join_all(described).await.try_into().unwrap();
    for (code, response) in [empty, none, default] {
        assert_ne!(code, i32::from(Code::Ok));
        let Some(HttpResponse::DeniedResponse(denied)) = response else { panic!("{response:?}") };
        assert_eq!(denied.status.unwrap().code, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reads_headers_in_either_form() {
    let setup = start("").await;
    let value = format!("Bearer {}", setup.world.mint("ar-1"));
    let base = || HttpRequest {
        method: "GET".to_owned(),
        path: "/a".to_owned(),
        ..HttpRequest::default()
    };
    let text = HashMap::from([("authorization".to_owned(), value.clone())]);
    let raw = HeaderValue {
        key: "authorization".to_owned(),
        raw_value: value.into_bytes(),
        ..HeaderValue::default()
    };
    let raw = Some(HeaderMap { headers: vec![raw] });
    let ok = i32::from(Code::Ok);
    let (code, _) = check(&setup, Some(HttpRequest { headers: text.clone(), ..base() })).await;
    assert_eq!(code, ok);
    let (code, _) = check(&setup, Some(HttpRequest { header_map: raw.clone(), ..base() })).await;
    assert_eq!(code, ok);
    // One token in each form: two headers.
    let both = HttpRequest { headers: text, header_map: raw, ..base() };
    let (code, _) = check(&setup, Some(both)).await;
    assert_eq!(code, i32::from(Code::Unauthenticated));
}
