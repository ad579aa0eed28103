//! The stream of one request: answers its messages, and ends it when it must be cut.

use std::pin::Pin;
use std::sync::Once;

use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Message;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, GrpcStatus, HeaderMutation, HeadersResponse, HttpHeaders,
    ImmediateResponse, ProcessingRequest, ProcessingResponse, TrailersResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use http::Response;
use tonic::{Status, Streaming};

use super::answer::{Denial, ValueField, to_remove, to_set};
use super::drain::Drain;
use super::hold::{Hold, Outcome, decide};
use super::never_ok::Step;
use super::question::{Described, pair};
use crate::decider::Decider;
use crate::routes::GuardBody;

/// The stream of one request.
pub(super) struct Session {
    decider: Decider,
    messages: Streaming<ProcessingRequest>,
    drained: Pin<Box<dyn Future<Output = ()> + Send>>,
    stage: Stage,
    /// `true` if the request needs no guard any more: it was denied, or its response has passed.
    is_over: bool,
}

enum Stage {
    New,
    Running(Hold),
    Denied,
}

enum Event {
    Cut(Response<GuardBody>),
    Drained,
    Message(Result<Option<ProcessingRequest>, Status>),
}

impl Session {
    pub(super) fn new(
        decider: Decider,
        messages: Streaming<ProcessingRequest>,
        drain: Drain,
    ) -> Self {
        let drained = Box::pin(drain.over());
        Self { decider, messages, drained, stage: Stage::New, is_over: false }
    }

    /// Waits for the next step: the answer to a message, or the end of the request.
    pub(super) async fn step(&mut self) -> Result<Step<ProcessingResponse>, Status> {
        loop {
            let cut = async {
                match &mut self.stage {
                    Stage::Running(hold) => hold.await,
                    Stage::New | Stage::Denied => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                answer = cut => Event::Cut(answer),
                () = &mut self.drained => Event::Drained,
                message = self.messages.message() => Event::Message(message),
            };
            match event {
                Event::Cut(answer) => {
                    self.stage = Stage::Denied;
                    return self.deny(answer).await;
                }
                Event::Drained => return Err(Status::unavailable("the guard stops")),
                // Envoy broke off.
                Event::Message(Err(status)) => return Err(status),
                Event::Message(Ok(None)) if self.is_over => return Ok(Step::EndWithOk),
                Event::Message(Ok(None)) => {
                    return Err(Status::cancelled("the stream ended before the response"));
                }
                Event::Message(Ok(Some(message))) if message.observability_mode => {
                    report_observability_mode();
                    return Err(Status::failed_precondition("ext_proc is in observability mode"));
                }
                Event::Message(Ok(Some(message))) => {
                    if let (Stage::New, Some(Message::RequestHeaders(headers))) =
                        (&self.stage, &message.request)
                    {
                        let described = describe(headers);
                        return self.decide(described).await;
                    }
                    if let Some(answer) = self.let_pass(message.request)? {
                        return Ok(send(answer));
                    }
                }
            }
        }
    }

    /// Answers a message after the request's headers. Some need no answer.
    fn let_pass(&mut self, message: Option<Message>) -> Result<Option<Answer>, Status> {
        Ok(Some(match (&self.stage, message) {
            // Flow control without content, or a message that crossed the denial.
            (_, None) | (Stage::Denied, _) => return Ok(None),
            (Stage::New, _) | (_, Some(Message::RequestHeaders(_))) => {
                let problem = "expected the request's headers once, as the first message";
                return Err(Status::failed_precondition(problem));
            }
            (_, Some(Message::ResponseHeaders(_))) => {
                Answer::ResponseHeaders(HeadersResponse::default())
            }
            (_, Some(Message::RequestBody(_))) => Answer::RequestBody(BodyResponse::default()),
            (_, Some(Message::ResponseBody(_))) => Answer::ResponseBody(BodyResponse::default()),
            (_, Some(Message::RequestTrailers(_))) => {
                Answer::RequestTrailers(TrailersResponse::default())
            }
            (_, Some(Message::ResponseTrailers(_))) => {
                self.is_over = true;
                Answer::ResponseTrailers(TrailersResponse::default())
            }
        }))
    }

    async fn decide(&mut self, described: Described) -> Result<Step<ProcessingResponse>, Status> {
        let Described { question, problem, forged } = described;
        let outcome = match problem {
            Some(kind) => Outcome::Denied(self.decider.deny(kind, &question)),
            None => decide(self.decider.clone(), question).await,
        };
        let (set, hold) = match outcome {
            Outcome::Approved(set, hold) => (set, hold),
            Outcome::Denied(answer) => {
                self.stage = Stage::Denied;
                return self.deny(answer).await;
            }
        };
        self.stage = Stage::Running(hold);
        let header_mutation = Some(HeaderMutation {
            set_headers: to_set(&set, ValueField::Raw),
            remove_headers: to_remove(forged, &set),
        });
        let response = Some(CommonResponse { header_mutation, ..CommonResponse::default() });
        Ok(send(Answer::RequestHeaders(HeadersResponse { response })))
    }

    /// Ends the request with this answer. Envoy breaks a response off that has begun.
    async fn deny(
        &mut self,
        answer: Response<GuardBody>,
    ) -> Result<Step<ProcessingResponse>, Status> {
        let denial = Denial::of(answer).await;
        self.is_over = true;
        Ok(send(Answer::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code: denial.status.as_u16().into() }),
            grpc_status: Some(GrpcStatus { status: i32::from(denial.grpc_code()).unsigned_abs() }),
            headers: Some(HeaderMutation {
                set_headers: to_set(&denial.headers, ValueField::Raw),
                ..HeaderMutation::default()
            }),
            body: denial.body.into(),
            details: "caracal_denied".to_owned(),
        })))
    }
}

fn describe(headers: &HttpHeaders) -> Described {
    let all = headers.headers.iter().flat_map(|map| &map.headers).map(pair);
    let pseudo = |wanted: &str| {
        let mut found = all.clone().filter(|(name, _)| *name == wanted);
        // None, or more than one, cannot be read.
        found.next().filter(|_| found.next().is_none()).map_or(&b""[..], |(_, value)| value)
    };
    Described::new(pseudo(":method"), pseudo(":path"), all.clone())
}

fn send(answer: Answer) -> Step<ProcessingResponse> {
    Step::Send(ProcessingResponse { response: Some(answer), ..ProcessingResponse::default() })
}

fn report_observability_mode() {
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        tracing::error!("Envoy ignores every denial: remove observability_mode from ext_proc");
    });
}
