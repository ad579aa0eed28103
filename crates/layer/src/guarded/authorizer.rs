//! The decision about a request. It changes only the identity in the extensions.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use caracal_revocation_mandate::{Mandate, Requirements, Verifier, VerifyError};
use caracal_revocation_state::{
    Admission, Authority, Checks, Claims, CutPolicy, Identity, Moment, NotAdmitted, Revocations,
    UseOutcome, UseRecordError,
};
use http::{Extensions, HeaderMap};

use crate::bearer::Authorization;
use crate::unverified::Payload;
use crate::{RequestDenial, RequestDenialKind};

/// Decides whether a request is admitted.
#[derive(Clone, Debug)]
pub(crate) struct Authorizer {
    pub(crate) revocations: Revocations,
    pub(crate) checks: Checks,
    pub(crate) allow_anonymous: bool,
    pub(crate) unverified_claims: bool,
    /// The verifier of this layer, if it verifies tokens itself. Identities in the extensions are
    /// then ignored.
    pub(crate) verifier: Option<Verifier>,
    pub(crate) requirements: Requirements,
    /// The rules for cutting admitted requests. `None` if the layer cuts nothing.
    pub(crate) watch: OnceLock<Option<Arc<CutPolicy>>>,
}

/// A step that a decision waits for.
pub(crate) type PendingStep = Pin<Box<dyn Future<Output = FinishedStep> + Send>>;

/// The result of a step that a decision waited for.
pub(crate) enum FinishedStep {
    /// A token that was not in the cache was verified.
    Verified(Result<Mandate, VerifyError>),
    /// The record of used mandates was asked about a request that is admitted otherwise.
    Recorded(AuthorizeOutcome, Result<UseOutcome, UseRecordError>),
}

/// The decision about a request, with the mandate that this layer verified for it, if any.
pub(crate) struct AuthorizeOutcome {
    /// An anonymous request has no admission.
    pub(crate) result: Result<Option<Admission>, Box<RequestDenial>>,
    pub(crate) mandate: Option<Mandate>,
    /// The identity that was removed from the extensions.
    pub(crate) taken: Option<Identity>,
}

/// The outcome, or the verification that must finish first.
pub(crate) enum AuthorizeStep {
    Decided(AuthorizeOutcome),
    Verifying(PendingStep),
}

impl Authorizer {
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> AuthorizeStep {
        let Some(verifier) = &self.verifier else {
            return AuthorizeStep::Decided(self.by_identity(headers, extensions));
        };
        // The cache comes first: a token in it needs no further check of its characters.
        let presented = Authorization::of(headers).ok().flatten();
        let presented = presented.and_then(Authorization::presented);
        if let Some(mandate) = presented.and_then(|token| verifier.cached(token)) {
            return AuthorizeStep::Decided(self.by_mandate(mandate));
        }
        let token = match self.token(headers) {
            Ok(Some(token)) => token,
            Ok(None) => return AuthorizeStep::Decided(AuthorizeOutcome::new(Ok(None))),
            Err(kind) => return AuthorizeStep::Decided(AuthorizeOutcome::denied(kind)),
        };
        let (verifier, token) = (verifier.clone(), token.to_owned());
        AuthorizeStep::Verifying(Box::pin(async move {
            FinishedStep::Verified(verifier.verify(&token).await)
        }))
    }

    /// Decides from the verifier's answer.
    pub(crate) fn conclude(&self, verified: Result<Mandate, VerifyError>) -> AuthorizeOutcome {
        match verified {
            Ok(mandate) => self.by_mandate(mandate),
            Err(error) => AuthorizeOutcome::denied(RequestDenial::unverified(error)),
        }
    }

    /// Decides again about a request that waited after it was admitted.
    pub(crate) fn decide_again(&self, outcome: AuthorizeOutcome) -> AuthorizeOutcome {
        let admission = outcome.result.as_ref().ok().and_then(Option::as_ref);
        match admission.and_then(Admission::identity).cloned() {
            Some(identity) => AuthorizeOutcome { result: self.decide(&identity).result, ..outcome },
            None => outcome,
        }
    }

    fn by_mandate(&self, mandate: Mandate) -> AuthorizeOutcome {
        let outcome = self.decide(&mandate.identity(&self.revocations));
        let unmet = self.requirements.check(&mandate).map_err(RequestDenial::unmet_requirement);
        let outcome = match (outcome.result.is_ok(), unmet) {
            (true, Err(rejection)) => AuthorizeOutcome::denied(rejection),
            _ => outcome,
        };
        AuthorizeOutcome { mandate: Some(mandate), ..outcome }
    }

    /// Returns the request's token, or `None` if the request may be anonymous.
    fn token<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, RequestDenialKind> {
        match Authorization::of(headers)? {
            Some(authorization) => authorization.token().map(Some),
            None if self.allow_anonymous => Ok(None),
            None => Err(RequestDenialKind::MissingToken),
        }
    }

    fn by_identity(&self, headers: &HeaderMap, extensions: &mut Extensions) -> AuthorizeOutcome {
        let authorization = match Authorization::of(headers) {
            Ok(authorization) => authorization,
            Err(kind) => return AuthorizeOutcome::denied(kind),
        };
        // An outer layer has already decided. Identities that other layers left since are ignored.
        if let Some(admission) = extensions.get::<Admission>()
            && let Some(identity) = admission.identity()
        {
            if !admission.is_by(&self.revocations) {
                return AuthorizeOutcome::denied(RequestDenialKind::OtherState);
            }
            return self.decide(identity);
        }
        // The layer that left an identity may have verified another token than this header's.
        if authorization.is_some_and(Authorization::is_malformed) {
            return AuthorizeOutcome::denied(RequestDenialKind::MalformedHeader);
        }
        match self.take(extensions) {
            Ok(Some(identity)) => {
                let outcome = self.decide(&identity);
                AuthorizeOutcome { taken: Some(identity), ..outcome }
            }
            Ok(None) => self.by_token(authorization).unwrap_or_else(AuthorizeOutcome::denied),
            Err(kind) => AuthorizeOutcome::denied(kind),
        }
    }

    /// Removes the identity that a layer which verified the token left in the extensions.
    fn take(&self, extensions: &mut Extensions) -> Result<Option<Identity>, RequestDenialKind> {
        let Some(authority) = extensions.remove::<Authority>() else {
            return Ok(extensions.remove::<Claims>().map(Identity::from));
        };
        let kind = if !authority.is_by(&self.revocations) {
            // Its digests belong to another state.
            RequestDenialKind::OtherState
        } else if extensions.get::<Claims>().is_some_and(|claims| !authority.is_of(claims)) {
            // It is unclear which of the two belongs to the token that the service will see.
            RequestDenialKind::MalformedClaims
        } else {
            return Ok(Some(authority.into()));
        };
        extensions.insert(authority);
        Err(kind)
    }

    /// Decides without an identity from a layer that verified the token.
    fn by_token(
        &self,
        authorization: Option<Authorization<'_>>,
    ) -> Result<AuthorizeOutcome, RequestDenialKind> {
        let token = match authorization {
            Some(authorization) => authorization.token()?,
            None if self.allow_anonymous => return Ok(AuthorizeOutcome::new(Ok(None))),
            None => return Err(RequestDenialKind::MissingToken),
        };
        if !self.unverified_claims {
            return Err(RequestDenialKind::UnverifiedToken);
        }
        let payload = Payload::of(token)?;
        let claims = payload.claims()?;
        let admission = admit_unverified(&self.revocations, &claims, &self.checks, self.watch());
        Ok(AuthorizeOutcome::new(admission.map(Some).map_err(Box::new)))
    }

    fn watch(&self) -> Option<&Arc<CutPolicy>> {
        self.watch.get().and_then(Option::as_ref)
    }

    fn decide(&self, identity: &Identity) -> AuthorizeOutcome {
        let now = self.revocations.now_coarse();
        let admission = self.revocations.admit(identity, &self.checks, now, self.watch());
        let denied = |why| denied(&self.revocations, identity.claims(), &self.checks, now, why);
        AuthorizeOutcome::new(admission.map(Some).map_err(denied).map_err(Box::new))
    }
}

impl AuthorizeOutcome {
    /// Returns the outcome of a request that is denied for another reason than its identity.
    pub(crate) fn deny(self, kind: RequestDenialKind) -> Self {
        let admission = self.result.as_ref().ok().and_then(Option::as_ref);
        let claims = admission.and_then(Admission::claims);
        let zone = claims.and_then(|claims| claims.zone_id.as_deref());
        let denial = RequestDenial::from(kind).in_zone(zone);
        Self { result: Err(Box::new(denial)), ..self }
    }

    fn denied(rejection: impl Into<RequestDenial>) -> Self {
        Self::new(Err(Box::new(rejection.into())))
    }

    const fn new(result: Result<Option<Admission>, Box<RequestDenial>>) -> Self {
        Self { result, mandate: None, taken: None }
    }
}

/// Admits a request on unverified claims, or returns the reason to deny it.
pub(crate) fn admit_unverified<S: AsRef<str>>(
    revocations: &Revocations,
    claims: &Claims<S>,
    checks: &Checks,
    watch: Option<&Arc<CutPolicy>>,
) -> Result<Admission, RequestDenial> {
    let now = revocations.now_coarse();
    let admission = revocations.admit_unverified(claims, checks, now, watch);
    admission.map_err(|why| denied(revocations, claims, checks, now, why))
}

#[cold]
fn denied<S: AsRef<str>>(
    revocations: &Revocations,
    claims: &Claims<S>,
    checks: &Checks,
    now: Moment,
    why: NotAdmitted,
) -> RequestDenial {
    let rejection = match why {
        NotAdmitted::Denied(denial) => RequestDenial::denied(denial)
            .after(revocations.take_enforcement_lag(claims, checks, now)),
        NotAdmitted::Unknown(unknown) => RequestDenial::unknown_state(unknown),
        NotAdmitted::NoRecord => return RequestDenialKind::MalformedClaims.into(),
    };
    rejection.in_zone(claims.zone_id.as_ref().map(AsRef::as_ref))
}
