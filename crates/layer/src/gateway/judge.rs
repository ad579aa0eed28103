//! The decision, without its consequences.

use caracal_revocation_state::{Admitted, Checks, Claims, Revocations, Verdict};
use http::{Extensions, HeaderMap};

use crate::bearer::Authorization;
use crate::unverified::Payload;
use crate::{Rejection, RejectionKind};

/// What is asked of a request.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) revocations: Revocations,
    pub(super) checks: Checks,
    pub(super) allow_anonymous: bool,
    pub(super) unverified_claims: bool,
}

/// Why a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Admitted(Admitted),
    /// It names no authority, and need not.
    Anonymous,
}

impl Judge {
    pub(super) fn judge(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Pass, Rejection> {
        let authorization = Authorization::of(headers)?;
        if let Some(claims) = extensions.get::<Claims>() {
            return self.decide(claims);
        }
        let token = match authorization {
            Some(authorization) => authorization.token()?,
            None if self.allow_anonymous => return Ok(Pass::Anonymous),
            None => return Err(RejectionKind::MissingToken.into()),
        };
        if !self.unverified_claims {
            return Err(RejectionKind::UnverifiedToken.into());
        }
        self.decide(&Payload::of(token)?.claims()?)
    }

    fn decide<S: AsRef<str>>(&self, claims: &Claims<S>) -> Result<Pass, Rejection> {
        // Claims without an authority record would match nothing, and so always pass.
        if claims.sid.as_ref().is_empty() {
            return Err(RejectionKind::MalformedClaims.into());
        }
        let rejection = match self.revocations.decide(claims, &self.checks, self.revocations.now())
        {
            Verdict::Admitted(admitted) => return Ok(Pass::Admitted(admitted)),
            Verdict::Refused(refusal) => Rejection::refused(refusal),
            Verdict::Unknown(unknown) => Rejection::unknown_state(unknown),
        };
        Err(rejection.in_zone(claims.zone_id.as_ref().map(AsRef::as_ref)))
    }
}
