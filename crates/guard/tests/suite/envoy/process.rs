//! ext_proc with a client of gRPC: no stream ends with OK while its request needs a guard.

use std::collections::HashMap;

use caracal_test_support::waiting::eventually;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Message;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest,
};
use tonic::Code;

use super::client::{Process, headers, start};

const CUTS: &str =
    r#"caracal_resource_cuts_total{part="handler",reason="revoked",front="ext_proc"}"#;
const DENIALS: &str = r#"caracal_resource_denials_total{reason="revoked",front="ext_proc"}"#;

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
    eventually("the guard ends", || setup.guard.has_ended()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_revoked_request_while_program_stops() {
    let setup = start("[limits]\ndrain_ms = 60000\n").await;
    let mut running = Process::approved(&setup, "ar-1").await;
    setup.guard.signal("TERM");
    eventually("the guard stops", || setup.guard.log().contains("stopping")).await;
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
