//! A request that was admitted and runs: what is needed to cut it properly.

use caracal_revocation_state::{Cut, CutPart, Running};

use super::caller::Caller;
use super::guard::Denial;
use crate::Rejection;
use crate::answer::Profile;
use crate::request_id::RequestId;

#[derive(Debug)]
pub(crate) struct Run {
    pub(super) running: Running,
    pub(super) caller: Caller,
    pub(super) profile: Profile,
}

impl Run {
    /// The answer to a client whose request was cut before it had one.
    pub(super) fn deny(&self, cut: Cut) -> Box<Denial> {
        self.running.report(CutPart::Handler);
        Box::new(Denial {
            rejection: Rejection::cut(cut).in_zone(self.running.zone()),
            request_id: RequestId::sent(self.caller.request_id.as_ref()),
            profile: self.profile,
            grpc: self.caller.grpc,
        })
    }
}
