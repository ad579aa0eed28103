//! The input of a policy decision.

use caracal_revocation::Mandate;
use caracal_revocation::policy::{BuildInput, ClaimsInput, InvalidInput, PolicyInput};
use caracal_revocation::policy::{RequestFacts, Resource};

/// Builds the input from the verified mandate. The resource is the audience of this guard, and its
/// requested scopes are those of the mandate.
pub(super) struct MandateInput {
    audience: String,
}

impl MandateInput {
    pub(super) fn new(audience: &str) -> Self {
        Self { audience: audience.to_owned() }
    }
}

impl BuildInput for MandateInput {
    fn build(&self, request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> {
        let resource = || Resource::new("api", &self.audience, &self.audience);
        let Some(mandate) = Mandate::of(request.extensions) else {
            return ClaimsInput::new(resource()).build(request);
        };
        let resource = mandate.scopes().fold(resource(), Resource::with_scope);
        let targets: Vec<_> = mandate.targets().collect();
        Ok(ClaimsInput::new(resource)
            .build(request)?
            .with_application(mandate.client())
            .with_subject_claim("sub", mandate.subject())
            .with_actor_claim("client_id", mandate.client())
            .with_actor_claim("target", targets))
    }
}
