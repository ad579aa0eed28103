//! A request that runs: the decision about it goes on until it must be cut.

use std::pin::Pin;

use http::{HeaderMap, Response};
use tokio::sync::mpsc;

use crate::decider::{Approval, Decider, Question};
use crate::routes::GuardBody;

/// The decision about a request that was approved. It resolves to a denial once the request must be
/// cut.
pub(super) type Hold = Pin<Box<dyn Future<Output = Response<GuardBody>> + Send>>;

/// The first outcome of a decision.
pub(super) enum Outcome {
    /// The request goes on, with these headers.
    Approved(HeaderMap, Hold),
    Denied(Response<GuardBody>),
}

/// Decides, and keeps the decision about an approved request.
pub(super) async fn decide(decider: Decider, mut question: Question) -> Outcome {
    let (approval, mut approved) = mpsc::channel(1);
    question.extensions_mut().insert(Approval(approval));
    let mut decision: Hold = Box::pin(async move { decider.decide(question).await });
    tokio::select! {
        biased;
        answer = &mut decision => Outcome::Denied(answer),
        Some(headers) = approved.recv() => Outcome::Approved(headers, decision),
    }
}
