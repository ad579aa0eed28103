//! The decision, without its consequences.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use caracal_revocation_mandate::{Mandate, Requirements, Verifier, VerifyError};
use caracal_revocation_state::{
    Admitted, Authority, Checks, Claims, Revocations, Running, Verdict, Watch,
};
use http::{Extensions, HeaderMap};

use crate::bearer::Authorization;
use crate::unverified::Payload;
use crate::{Rejection, RejectionKind};

/// What is asked of a request.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    pub(crate) revocations: Revocations,
    pub(crate) checks: Checks,
    pub(crate) allow_anonymous: bool,
    pub(crate) unverified_claims: bool,
    /// Verifies the token here; what the extensions hold then counts for nothing.
    pub(crate) verifier: Option<Verifier>,
    pub(crate) requirements: Requirements,
    /// Over what was admitted, unless nothing cuts it.
    pub(crate) watch: OnceLock<Option<Arc<Watch>>>,
}

/// Why a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Admitted(Admitted),
    /// It names no authority, and need not.
    Anonymous,
}

/// A verifier at work on a token that it has not seen before.
pub(crate) type Verification = Pin<Box<dyn Future<Output = Result<Mandate, VerifyError>> + Send>>;

/// What was decided, and on which mandate, where one was verified here.
pub(crate) struct Judgement {
    pub(crate) outcome: Result<Pass, Box<Rejection>>,
    pub(crate) mandate: Option<Mandate>,
    /// What was admitted, and may be cut.
    pub(crate) running: Option<Running>,
}

pub(crate) enum Judged {
    Decided(Judgement),
    Verifying(Verification),
}

impl Judge {
    pub(crate) fn judge(&self, headers: &HeaderMap, extensions: &Extensions) -> Judged {
        let Some(verifier) = &self.verifier else {
            return Judged::Decided(self.by_claims(headers, extensions));
        };
        // Before it is looked at: this very text may be known to be good.
        let presented = Authorization::of(headers).ok().flatten();
        let presented = presented.and_then(Authorization::presented);
        if let Some(mandate) = presented.and_then(|token| verifier.recall(token)) {
            return Judged::Decided(self.by_mandate(mandate));
        }
        let token = match self.token(headers) {
            Ok(Some(token)) => token,
            Ok(None) => return Judged::Decided(Judgement::without_claims(Ok(Pass::Anonymous))),
            Err(kind) => return Judged::Decided(Judgement::refused(kind)),
        };
        let (verifier, token) = (verifier.clone(), token.to_owned());
        Judged::Verifying(Box::pin(async move { verifier.verify(&token).await }))
    }

    /// What follows from the verifier's answer.
    pub(crate) fn conclude(&self, verified: Result<Mandate, VerifyError>) -> Judgement {
        match verified {
            Ok(mandate) => self.by_mandate(mandate),
            Err(error) => Judgement::refused(Rejection::unverified(error)),
        }
    }

    fn by_mandate(&self, mandate: Mandate) -> Judgement {
        let judgement = match mandate.authority(&self.revocations) {
            Some(authority) => self.decide_on(authority),
            None => self.decide(mandate.claims()),
        };
        let unmet = self.requirements.check(&mandate).map_err(Rejection::unmet_requirement);
        let judgement = match (judgement.outcome.is_ok(), unmet) {
            (true, Err(rejection)) => Judgement::refused(rejection),
            _ => judgement,
        };
        Judgement { mandate: Some(mandate), ..judgement }
    }

    /// The request's token; none only where it may be anonymous.
    fn token<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, RejectionKind> {
        match Authorization::of(headers)? {
            Some(authorization) => authorization.token().map(Some),
            None if self.allow_anonymous => Ok(None),
            None => Err(RejectionKind::MissingToken),
        }
    }

    fn by_claims(&self, headers: &HeaderMap, extensions: &Extensions) -> Judgement {
        let authorization = match Authorization::of(headers) {
            Ok(authorization) => authorization,
            Err(kind) => return Judgement::refused(kind),
        };
        match (extensions.get::<Authority>(), extensions.get::<Claims>()) {
            // Which of the two is about the token that the service behind will see?
            (Some(authority), Some(claims)) if !authority.is_of(claims) => {
                Judgement::refused(RejectionKind::MalformedClaims)
            }
            (Some(authority), _) => self.decide_on(authority),
            (None, Some(claims)) => self.decide(claims),
            (None, None) => self.by_token(authorization).unwrap_or_else(Judgement::refused),
        }
    }

    /// Without claims from whoever verified the token.
    fn by_token(
        &self,
        authorization: Option<Authorization<'_>>,
    ) -> Result<Judgement, RejectionKind> {
        let token = match authorization {
            Some(authorization) => authorization.token()?,
            None if self.allow_anonymous => {
                return Ok(Judgement::without_claims(Ok(Pass::Anonymous)));
            }
            None => return Err(RejectionKind::MissingToken),
        };
        if !self.unverified_claims {
            return Err(RejectionKind::UnverifiedToken);
        }
        Ok(self.decide(&Payload::of(token)?.claims()?))
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.get().and_then(Option::as_ref)
    }

    fn decide<S: AsRef<str>>(&self, claims: &Claims<S>) -> Judgement {
        let decided = decide(&self.revocations, claims, &self.checks);
        Judgement::on(decided, || self.watch().map(|watch| watch.start(claims)))
    }

    fn decide_on(&self, authority: &Authority) -> Judgement {
        // Of another state nothing follows for this one, and nobody else vouches for it.
        if !authority.revocations().is(&self.revocations) {
            return Judgement::refused(RejectionKind::UnverifiedToken);
        }
        let decided = decide_on(authority, &self.checks);
        Judgement::on(decided, || self.watch().map(|watch| watch.start_on(authority)))
    }
}

impl Pass {
    pub(crate) const fn admitted(self) -> Option<Admitted> {
        match self {
            Self::Admitted(admitted) => Some(admitted),
            Self::Anonymous => None,
        }
    }
}

impl Judgement {
    fn refused(rejection: impl Into<Rejection>) -> Self {
        Self::without_claims(Err(Box::new(rejection.into())))
    }

    fn on(decided: Result<Admitted, Rejection>, running: impl FnOnce() -> Option<Running>) -> Self {
        match decided {
            Ok(admitted) => {
                Self { outcome: Ok(Pass::Admitted(admitted)), mandate: None, running: running() }
            }
            Err(rejection) => Self::refused(rejection),
        }
    }

    const fn without_claims(outcome: Result<Pass, Box<Rejection>>) -> Self {
        Self { outcome, mandate: None, running: None }
    }
}

/// The verdict on an authority, as a proof or a rejection.
fn decide_on(authority: &Authority, checks: &Checks) -> Result<Admitted, Rejection> {
    if !authority.names_record() {
        return Err(RejectionKind::MalformedClaims.into());
    }
    let now = authority.revocations().glance();
    let rejection = match authority.decide(checks, now) {
        Verdict::Admitted(admitted) => return Ok(admitted),
        Verdict::Refused(refusal) => {
            Rejection::refused(refusal).after(authority.take_enforcement_lag(checks, now))
        }
        Verdict::Unknown(unknown) => Rejection::unknown_state(unknown),
    };
    Err(rejection.in_zone(authority.zone()))
}

/// The verdict on claims, as a proof or a rejection.
pub(crate) fn decide<S: AsRef<str>>(
    revocations: &Revocations,
    claims: &Claims<S>,
    checks: &Checks,
) -> Result<Admitted, Rejection> {
    // Claims without an authority record would match nothing, and so always pass.
    if claims.sid.as_ref().is_empty() {
        return Err(RejectionKind::MalformedClaims.into());
    }
    let now = revocations.glance();
    let rejection = match revocations.decide(claims, checks, now) {
        Verdict::Admitted(admitted) => return Ok(admitted),
        Verdict::Refused(refusal) => {
            Rejection::refused(refusal).after(revocations.take_enforcement_lag(claims, checks, now))
        }
        Verdict::Unknown(unknown) => Rejection::unknown_state(unknown),
    };
    Err(rejection.in_zone(claims.zone_id.as_ref().map(AsRef::as_ref)))
}
