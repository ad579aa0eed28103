//! The denial of a request by a policy layer, with its reason.

use caracal_revocation_opa::{NoDecision, PolicyDecision, Unusable};

/// The denial of a request that did not reach the service.
///
/// Layers further out find it in the extensions of the response.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", kind.label())]
pub struct PolicyRejection {
    kind: PolicyRejectionKind,
    decision: Option<Box<PolicyDecision>>,
    cause: Option<NoDecision>,
}

/// The reason to deny a request, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyRejectionKind {
    /// No gateway admitted the request: the layers are in the wrong order.
    NotAdmitted,
    /// The request was admitted on an unverified token: there are no claims to decide on.
    NoClaims,
    /// The gateway that admitted the request has another `Revocations` than the policies.
    OtherState,
    /// The claims name no zone.
    NoZone,
    /// The claims, or the input that was built, name another zone than they may.
    OtherZone,
    /// The path can be read in more than one way.
    AmbiguousPath,
    /// The input cannot be built.
    InvalidInput,
    /// The policy denies.
    Denied,
    /// The zone has no policy.
    NoPolicy,
    /// There is no usable policy now.
    PolicyUnusable,
    /// The policy gave neither a complete allow nor a complete deny.
    EvaluationFailed,
}

impl PolicyRejectionKind {
    pub(crate) const ALL: [Self; 11] = [
        Self::NotAdmitted,
        Self::NoClaims,
        Self::OtherState,
        Self::NoZone,
        Self::OtherZone,
        Self::AmbiguousPath,
        Self::InvalidInput,
        Self::Denied,
        Self::NoPolicy,
        Self::PolicyUnusable,
        Self::EvaluationFailed,
    ];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Returns the kind as a label, such as `denied`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAdmitted => "not_admitted",
            Self::NoClaims => "no_claims",
            Self::OtherState => "other_state",
            Self::NoZone => "no_zone",
            Self::OtherZone => "other_zone",
            Self::AmbiguousPath => "ambiguous_path",
            Self::InvalidInput => "invalid_input",
            Self::Denied => "denied",
            Self::NoPolicy => "no_policy",
            Self::PolicyUnusable => "policy_unusable",
            Self::EvaluationFailed => "evaluation_failed",
        }
    }
}

impl PolicyRejection {
    pub(crate) fn denied(decision: PolicyDecision) -> Self {
        let decision = Some(Box::new(decision));
        Self { kind: PolicyRejectionKind::Denied, decision, cause: None }
    }

    /// Returns the reason, for a program to match.
    #[must_use]
    pub const fn kind(&self) -> PolicyRejectionKind {
        self.kind
    }

    /// Returns the decision, if there was one.
    #[must_use]
    pub fn decision(&self) -> Option<&PolicyDecision> {
        self.decision.as_deref()
    }

    /// Returns the reason why there was no decision.
    #[must_use]
    pub const fn cause(&self) -> Option<&NoDecision> {
        self.cause.as_ref()
    }
}

impl From<PolicyRejectionKind> for PolicyRejection {
    fn from(kind: PolicyRejectionKind) -> Self {
        Self { kind, decision: None, cause: None }
    }
}

impl From<NoDecision> for PolicyRejection {
    fn from(cause: NoDecision) -> Self {
        let kind = match &cause {
            NoDecision::Unusable(Unusable::NoPolicy) => PolicyRejectionKind::NoPolicy,
            NoDecision::Unusable(_) => PolicyRejectionKind::PolicyUnusable,
            NoDecision::Evaluation(_) => PolicyRejectionKind::EvaluationFailed,
        };
        Self { kind, decision: None, cause: Some(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_at_its_index() {
        for (index, kind) in PolicyRejectionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
        assert_eq!(
            PolicyRejectionKind::ALL.len(),
            PolicyRejectionKind::EvaluationFailed.index() + 1
        );
    }
}
