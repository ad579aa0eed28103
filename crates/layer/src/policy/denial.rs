//! The denial of a request by a policy layer, with its reason.

use caracal_revocation_opa::{DecisionError, PolicyDecision, PolicyUnavailable};

/// The denial of a request that did not reach the service.
///
/// Outer layers find it in the extensions of the response.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", kind.label())]
pub struct PolicyDenial {
    kind: PolicyDenialKind,
    decision: Option<Box<PolicyDecision>>,
    cause: Option<DecisionError>,
}

/// The reason to deny a request, for a program to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyDenialKind {
    /// No gateway admitted the request: it is anonymous, or the layers are in the wrong order.
    NotAdmitted,
    /// The request was admitted on an unverified token: there are no claims to decide on.
    NoClaims,
    /// The gateway that admitted the request has another `Revocations` than the policies.
    OtherState,
    /// The claims name no zone.
    NoZone,
    /// The claims or the built input name a zone that is not allowed here.
    OtherZone,
    /// The path can be read in more than one way.
    AmbiguousPath,
    /// The input cannot be built.
    InvalidInput,
    /// The policy denies.
    Denied,
    /// The zone has no policy.
    NoPolicy,
    /// The zone's policy cannot be used now.
    PolicyUnusable,
    /// The policy returned neither a complete allow nor a complete deny.
    EvaluationFailed,
}

impl PolicyDenialKind {
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

impl PolicyDenial {
    pub(crate) fn denied(decision: PolicyDecision) -> Self {
        let decision = Some(Box::new(decision));
        Self { kind: PolicyDenialKind::Denied, decision, cause: None }
    }

    /// Returns the reason, for a program to match.
    #[must_use]
    pub const fn kind(&self) -> PolicyDenialKind {
        self.kind
    }

    /// Returns the decision of the policy, if there was one.
    #[must_use]
    pub fn decision(&self) -> Option<&PolicyDecision> {
        self.decision.as_deref()
    }

    /// Returns the reason why there was no decision.
    #[must_use]
    pub const fn cause(&self) -> Option<&DecisionError> {
        self.cause.as_ref()
    }
}

impl From<PolicyDenialKind> for PolicyDenial {
    fn from(kind: PolicyDenialKind) -> Self {
        Self { kind, decision: None, cause: None }
    }
}

impl From<DecisionError> for PolicyDenial {
    fn from(cause: DecisionError) -> Self {
        let kind = match &cause {
            DecisionError::PolicyUnavailable(PolicyUnavailable::NoPolicy) => {
                PolicyDenialKind::NoPolicy
            }
            DecisionError::PolicyUnavailable(_) => PolicyDenialKind::PolicyUnusable,
            DecisionError::Evaluation(_) => PolicyDenialKind::EvaluationFailed,
        };
        Self { kind, decision: None, cause: Some(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_index() {
        for (index, kind) in PolicyDenialKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
        assert_eq!(PolicyDenialKind::ALL.len(), PolicyDenialKind::EvaluationFailed.index() + 1);
    }
}
