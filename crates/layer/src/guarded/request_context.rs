//! The context of an admitted request that runs: what is needed to cut it properly.

use std::sync::Arc;

use caracal_revocation_state::{Cut, CutPoint, RequestCancellation};

use crate::answer::{ClientCapabilities, Denial, Profile, RequestId};
use crate::metrics::Counters;
use crate::{RequestDenial, RequestDenialKind, log};

/// The context of a request that was admitted.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(super) running: RequestCancellation,
    pub(super) client: ClientCapabilities,
    pub(super) profile: Profile,
    /// The parameters of every challenge of the layer.
    pub(super) challenge: Option<Arc<str>>,
    /// Set if the response must have a length, as one to HTTP/1.0 must. Counts it if it has none.
    pub(super) needs_length: Option<Box<Counters>>,
}

impl RequestContext {
    /// Answers a client whose request was cut before it had an answer.
    pub(super) fn deny(&self, cut: Cut) -> Box<Denial> {
        self.running.report(CutPoint::Handler);
        self.denial(RequestDenial::cut(cut))
    }

    /// Answers a client that could not distinguish a cut response from a whole one.
    pub(super) fn deny_version(&self) -> Box<Denial> {
        let kind = RequestDenialKind::UnsupportedVersion;
        let denial = self.denial(kind.into());
        if let Some(counters) = &self.needs_length {
            counters.denied(kind);
        }
        log::denial(&denial, true);
        denial
    }

    fn denial(&self, rejection: RequestDenial) -> Box<Denial> {
        Box::new(Denial {
            rejection: rejection.in_zone(self.running.zone()),
            request_id: RequestId::sent(self.client.request_id.as_ref()),
            profile: self.profile,
            grpc: self.client.grpc,
            challenge: self.challenge.clone(),
        })
    }
}
