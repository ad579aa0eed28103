//! A stream of answers that cannot end with the gRPC status OK by mistake.
//!
//! Envoy's ext_proc filter takes an OK for "no more questions": it lets the request pass, or the
//! response run on without a guard, even with `failure_mode_allow: false`. In tonic, a stream that
//! just ends is such an OK.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream};
use tonic::{Code, Status};

/// The next step of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step<T> {
    Send(T),
    /// Ends the stream with OK. Only for a request that needs no guard any more.
    EndWithOk,
}

/// Ends the stream of another one with an error, unless that one says [`Step::EndWithOk`]: also if
/// it just ends, returns the status OK as an error, or panics.
pub(super) struct NeverOk<T>(Option<BoxStream<'static, Result<Step<T>, Status>>>);

impl<T> NeverOk<T> {
    pub(super) fn new(steps: impl Stream<Item = Result<Step<T>, Status>> + Send + 'static) -> Self {
        Self(Some(Box::pin(steps)))
    }
}

impl<T> Stream for NeverOk<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(steps) = &mut self.0 else { return Poll::Ready(None) };
        let poll = catch_unwind(AssertUnwindSafe(|| steps.as_mut().poll_next(cx)));
        let end = match poll {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(Step::Send(answer))))) => return Poll::Ready(Some(Ok(answer))),
            Ok(Poll::Ready(Some(Ok(Step::EndWithOk)))) => None,
            Ok(Poll::Ready(Some(Err(status)))) if status.code() != Code::Ok => Some(status),
            Ok(Poll::Ready(_)) => Some(Status::aborted("the stream ended without a decision")),
            Err(_) => Some(Status::internal("the decision failed")),
        };
        self.0 = None;
        Poll::Ready(end.map(Err))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
    use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
        ExternalProcessor, ExternalProcessorServer,
    };
    use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
    use futures_util::{StreamExt, stream};
    use tokio::net::TcpListener;
    use tonic::{Request, Response, Streaming};

    use super::*;
    use crate::config::Limits;
    use crate::server::{Shutdown, serve};

    type Steps = Vec<Result<Step<u8>, Status>>;

    /// Returns the answers, and the code of the error after them.
    async fn run(
        steps: impl Stream<Item = Result<Step<u8>, Status>> + Send + 'static,
    ) -> (Vec<u8>, Option<Code>) {
        let all: Vec<_> = NeverOk::new(steps).collect().await;
        let answers = all.iter().filter_map(|item| item.clone().ok()).collect();
        let errors: Vec<_> = all.iter().filter_map(|item| item.clone().err()).collect();
        assert!(errors.len() <= 1, "{errors:?}");
        (answers, errors.first().map(Status::code))
    }

    #[tokio::test]
    async fn ends_with_error_unless_told_otherwise() {
        let cases: [(Steps, Option<Code>); 4] = [
            (vec![Ok(Step::Send(1))], Some(Code::Aborted)),
            (vec![Ok(Step::Send(1)), Err(Status::ok(""))], Some(Code::Aborted)),
            (vec![Ok(Step::Send(1)), Err(Status::unavailable(""))], Some(Code::Unavailable)),
            (vec![Ok(Step::Send(1)), Ok(Step::EndWithOk), Ok(Step::Send(2))], None),
        ];
        for (steps, code) in cases {
            assert_eq!(run(stream::iter(steps.clone())).await, (vec![1], code), "{steps:?}");
        }
    }

    #[tokio::test]
    async fn ends_with_error_after_panic() {
        let steps = stream::iter([1, 0]).map(|divisor: u8| {
            assert_ne!(divisor, 0, "this panic is part of the test");
            Ok(Step::Send(divisor))
        });
        assert_eq!(run(steps).await, (vec![1], Some(Code::Internal)));
    }

    struct Fake(fn() -> NeverOk<ProcessingResponse>);

    #[tonic::async_trait]
    impl ExternalProcessor for Fake {
        type ProcessStream = NeverOk<ProcessingResponse>;

        async fn process(
            &self,
            _: Request<Streaming<ProcessingRequest>>,
        ) -> Result<Response<Self::ProcessStream>, Status> {
            Ok(Response::new(self.0()))
        }
    }

    /// Serves this stream, and returns the code that a client of gRPC sees at its end.
    async fn seen_by_client(stream: fn() -> NeverOk<ProcessingResponse>) -> Code {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let services = tonic::service::Routes::new(ExternalProcessorServer::new(Fake(stream)));
        let (stop, shutdown) = Shutdown::channel();
        let time = Duration::from_secs(1);
        let limits = Limits { connections: 1, drain: time, ..Limits::default() };
        let server = tokio::spawn(serve(listener, services, limits, shutdown));
        let mut client =
            ExternalProcessorClient::connect(format!("http://{address}")).await.unwrap();
        let mut answers = client.process(stream::pending()).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some());
        let code = answers.message().await.map_or_else(|status| status.code(), |_| Code::Ok);
        drop((client, answers, stop));
        server.await.unwrap();
        code
    }

    fn answer() -> Result<Step<ProcessingResponse>, Status> {
        Ok(Step::Send(ProcessingResponse::default()))
    }

    #[tokio::test]
    async fn client_sees_error_after_end_and_after_panic() {
        let ends = || NeverOk::new(stream::iter([answer()]));
        assert_eq!(seen_by_client(ends).await, Code::Aborted);
        let panics = || {
            let panic = stream::poll_fn(|_| panic!("this panic is part of the test"));
            NeverOk::new(stream::iter([answer()]).chain(panic))
        };
        assert_eq!(seen_by_client(panics).await, Code::Internal);
        let asks = || NeverOk::new(stream::iter([answer(), Ok(Step::EndWithOk)]));
        assert_eq!(seen_by_client(asks).await, Code::Ok);
    }
}
