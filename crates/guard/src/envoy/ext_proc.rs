//! `envoy.service.ext_proc.v3.ExternalProcessor`: a stream for each request, open as long as its
//! response runs.

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::stream::try_unfold;
use tonic::{Request, Response, Status, Streaming};

use super::drain::Drain;
use super::never_ok::NeverOk;
use super::session::Session;
use crate::decider::Decider;

/// Answers external processing.
#[derive(Clone)]
pub(super) struct ExtProc {
    pub(super) decider: Decider,
    pub(super) drain: Drain,
}

#[tonic::async_trait]
impl ExternalProcessor for ExtProc {
    type ProcessStream = NeverOk<ProcessingResponse>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let session = Session::new(self.decider.clone(), request.into_inner(), self.drain.clone());
        let steps =
            try_unfold(
                session,
                |mut session| async move { Ok(Some((session.step().await?, session))) },
            );
        Ok(Response::new(NeverOk::new(steps)))
    }
}
