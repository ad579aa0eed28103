//! The requirements of a route on a mandate.

use crate::limits::MAX_HOPS;
use crate::mandate::{Mandate, SubjectType, Use};

/// The requirements that a mandate must meet for a request to be admitted.
///
/// ```
/// use caracal_revocation_mandate::Requirements;
/// let writing = Requirements::new().scope("orders:write").session().max_hops(2);
/// assert_ne!(writing, Requirements::new());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Requirements {
    scopes: Vec<Box<str>>,
    targets: Vec<Box<str>>,
    applications: Vec<Box<str>>,
    /// Every use that the verifier accepts, if empty.
    uses: Vec<Use>,
    subject_type: Option<SubjectType>,
    session: bool,
    delegation: bool,
    max_hops: u32,
}

/// A requirement that a mandate does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnmetRequirement {
    /// The mandate has another `sub_type`.
    #[error("the mandate has another subject type than the required one")]
    SubjectType,
    /// The mandate lacks a required scope.
    #[error("the mandate lacks a required scope")]
    Scope,
    /// The mandate lacks a required target.
    #[error("the mandate lacks a required target")]
    Target,
    /// The mandate has no `agent_session_id`.
    #[error("the mandate names no governed session")]
    Session,
    /// The mandate has no `delegation_edge_id`.
    #[error("the mandate names no delegation")]
    Delegation,
    /// The delegation chain lacks a required application.
    #[error("the delegation chain lacks a required application")]
    Chain,
    /// The mandate has another `use`.
    #[error("the mandate has another use than the required one")]
    Use,
    /// The mandate has more hops than allowed.
    #[error("the mandate has too many hops")]
    Hops,
}

impl Requirements {
    /// Creates requirements with the default only: at most ten hops.
    pub const fn new() -> Self {
        Self {
            scopes: Vec::new(),
            targets: Vec::new(),
            applications: Vec::new(),
            uses: Vec::new(),
            subject_type: None,
            session: false,
            delegation: false,
            max_hops: MAX_HOPS,
        }
    }

    /// Requires this scope.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Requires this entry of `target`.
    pub fn target(mut self, target: &str) -> Self {
        self.targets.push(target.into());
        self
    }

    /// Requires this application in `delegation_chain`.
    pub fn chain_contains(mut self, application: &str) -> Self {
        self.applications.push(application.into());
        self
    }

    /// Requires an `agent_session_id`.
    pub fn session(mut self) -> Self {
        self.session = true;
        self
    }

    /// Requires a `delegation_edge_id`.
    pub fn delegation(mut self) -> Self {
        self.delegation = true;
        self
    }

    /// Requires this `sub_type`.
    pub fn subject_type(mut self, subject_type: SubjectType) -> Self {
        self.subject_type = Some(subject_type);
        self
    }

    /// Requires one of these values of `use`. The verifier must accept them too: see
    /// [`VerifierBuilder::with_uses`](crate::VerifierBuilder::with_uses).
    pub fn uses(mut self, uses: &[Use]) -> Self {
        self.uses = uses.to_vec();
        self
    }

    /// Sets the maximum number of hops: 10 by default.
    pub fn max_hops(mut self, hops: u32) -> Self {
        self.max_hops = hops;
        self
    }

    /// Returns the required scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(AsRef::as_ref)
    }

    /// Checks that the mandate meets every requirement.
    ///
    /// # Errors
    ///
    /// [`UnmetRequirement`]: the first one that the mandate does not meet.
    pub fn check(&self, mandate: &Mandate) -> Result<(), UnmetRequirement> {
        let claims = mandate.claims();
        let needs = [
            (
                self.subject_type.is_none_or(|it| it == mandate.subject_type()),
                UnmetRequirement::SubjectType,
            ),
            (self.scopes.iter().all(|scope| mandate.has_scope(scope)), UnmetRequirement::Scope),
            (
                self.targets.iter().all(|it| mandate.targets().any(|has| has == &**it)),
                UnmetRequirement::Target,
            ),
            (!self.session || claims.agent_session_id.is_some(), UnmetRequirement::Session),
            (!self.delegation || claims.delegation_edge_id.is_some(), UnmetRequirement::Delegation),
            (
                self.applications.iter().all(|it| mandate.chain().any(|has| has == &**it)),
                UnmetRequirement::Chain,
            ),
            (
                self.uses.is_empty() || self.uses.contains(&mandate.token_use()),
                UnmetRequirement::Use,
            ),
            (mandate.hops() <= self.max_hops, UnmetRequirement::Hops),
        ];
        needs.into_iter().find(|(met, _)| !met).map_or(Ok(()), |(_, unmet)| Err(unmet))
    }
}

impl Default for Requirements {
    fn default() -> Self {
        Self::new()
    }
}
