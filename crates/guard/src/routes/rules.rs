//! The rules of a route, and the layer that enforces them.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::gateway::{BoxError, CutOptions, Guarded, GuardedRequestBody};
#[cfg(feature = "opa")]
use caracal_revocation::policy::PolicyLayer;
use caracal_revocation::resource::Requirements;
use caracal_revocation::state::Options;
use caracal_revocation::stream::UsedMandates;
use caracal_revocation::{GatewayLayer, ResourceLayer, Revocations, Verifier};
use http::{Request, Response};
use tower::{Layer, Service};

use super::pattern::RoutePattern;

/// The rules of one route.
#[derive(Clone, Debug)]
pub(crate) struct RouteRules {
    pub(crate) pattern: RoutePattern,
    pub(crate) requirements: Requirements,
    /// `true` if the policy of the zone decides too.
    pub(crate) policy: bool,
    pub(crate) anonymous: bool,
    pub(crate) deny_after: Option<Duration>,
    pub(crate) cutting: CutOptions,
}

/// The kind of service that the guard answers as: it selects the error codes (contract,
/// "Answers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    #[default]
    Resource,
    Gateway,
}

/// The parts that the layers of all routes share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) revocations: Revocations,
    /// `None` if claims are read unverified.
    pub(crate) verifier: Option<Verifier>,
    pub(crate) profile: Profile,
    /// `Some` if each mandate is admitted once.
    pub(crate) single_use: Option<SingleUseRecord>,
    /// The layer of routes with a policy.
    #[cfg(feature = "opa")]
    pub(crate) policy: Option<PolicyLayer>,
}

/// The record of used mandates, and the effect of its outage.
#[derive(Clone, Debug)]
pub(crate) struct SingleUseRecord {
    pub(crate) used: UsedMandates,
    pub(crate) insecure_fail_open: bool,
}

impl RouteRules {
    /// Puts a service behind the layer of this route.
    ///
    /// Without a verifier, the claims of tokens are read unverified.
    pub(crate) fn layer<S: Clone>(
        &self,
        shared: &Shared,
        front: &'static str,
        inner: S,
    ) -> Guarded<S> {
        let Shared { revocations, verifier, profile, single_use, .. } = shared;
        match (profile, verifier) {
            (Profile::Resource, Some(verifier)) => {
                let mut layer = ResourceLayer::new(verifier.clone())
                    .with_front(front)
                    .require(self.requirements.clone())
                    .with_cutting(self.cutting.clone());
                if self.anonymous {
                    layer = layer.allow_anonymous();
                }
                if let Some(bound) = self.bound() {
                    layer = layer.clone().with_deny_after(bound).unwrap_or(layer);
                }
                layer.layer(inner)
            }
            (_, verifier) => {
                let layer = GatewayLayer::new(revocations.clone())
                    .with_front(front)
                    .require(self.requirements.clone())
                    .with_cutting(self.cutting.clone());
                let mut layer = match verifier {
                    Some(verifier) => layer.with_verifier(verifier.clone()),
                    None => layer.with_insecure_unverified_claims(),
                };
                if let Some(SingleUseRecord { used, insecure_fail_open }) = single_use {
                    layer = layer.with_single_use(used.clone());
                    if *insecure_fail_open {
                        layer = layer.insecure_fail_open_single_use();
                    }
                }
                if self.anonymous {
                    layer = layer.allow_anonymous();
                }
                if let Some(bound) = self.bound() {
                    layer = layer.clone().with_deny_after(bound).unwrap_or(layer);
                }
                layer.layer(inner)
            }
        }
    }

    /// Returns the bound of the route. The configuration rejects a bound that no view can keep, so
    /// that no layer does.
    fn bound(&self) -> Option<Duration> {
        self.deny_after.map(|bound| bound.max(Options::SHORTEST_BOUND))
    }
}

/// A service that can be guarded: it answers admitted requests.
pub(crate) trait Inner<B, R>:
    Service<
        Request<GuardedRequestBody<B>>,
        Response = Response<R>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
where
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
}

impl<S, B, R> Inner<B, R> for S
where
    S: Service<
            Request<GuardedRequestBody<B>>,
            Response = Response<R>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
}
