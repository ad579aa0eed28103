//! The context of a running request, which is needed to cut it.

use std::sync::Arc;

use caracal_revocation_state::{Cut, CutPoint, RequestCancellation};

use crate::answer::{ClientCapabilities, Denial, Profile, RequestId};
use crate::metrics::Counters;
use crate::{RequestDenial, RequestDenialKind, log};

/// The parts of an admitted request that are needed to cut it, and to answer it then.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(super) running: RequestCancellation,
    pub(super) client: ClientCapabilities,
    pub(super) profile: Profile,
    /// The parameters of every challenge of the layer.
    pub(super) challenge: Option<Arc<str>>,
    /// `Some` if the response must have a length, because the client speaks HTTP/1.0. Counts the
    /// denial of a response that has none.
    pub(super) needs_length: Option<Box<Counters>>,
}

impl RequestContext {
    /// Returns the denial for a request that was cut before it had an answer.
    pub(super) fn deny(&self, cut: Cut) -> Box<Denial> {
        self.running.report(CutPoint::Handler);
        self.denial(RequestDenial::cut(cut))
    }

    /// Returns the denial for a client that cannot distinguish a cut response from a complete one.
    pub(super) fn deny_version(&self) -> Box<Denial> {
        let kind = RequestDenialKind::UnsupportedVersion;
        let denial = self.denial(kind.into());
        let front = self.needs_length.as_ref().and_then(|counters| {
            counters.denied(kind);
            counters.front()
        });
        log::denial(&denial, true, front);
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
