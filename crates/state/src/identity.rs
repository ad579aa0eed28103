//! The identity that a request is decided on.

use std::fmt;
use std::sync::Arc;

use crate::authority::Authority;
use crate::claims::Claims;

/// The identity that a request is decided on: verified claims, or an [`Authority`] made from them.
/// Clones share the claims.
///
/// ```
/// use caracal_revocation_state::{Claims, Identity};
/// let identity = Identity::from(Claims::new("ar-1", 1_795_400_000, 1_795_400_900));
/// assert_eq!(&*identity.claims().sid, "ar-1");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Identity {
    /// Claims, digested at each decision.
    Claims(Arc<Claims>),
    /// Claims that are digested already.
    Authority(Authority),
}

impl Identity {
    /// Returns the claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        match self {
            Self::Claims(claims) => claims,
            Self::Authority(authority) => authority.claims(),
        }
    }
}

impl From<Claims> for Identity {
    fn from(claims: Claims) -> Self {
        Self::Claims(Arc::new(claims))
    }
}

impl From<Authority> for Identity {
    fn from(authority: Authority) -> Self {
        Self::Authority(authority)
    }
}

/// Omits the ids, which must not appear in a log.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("zone", &self.claims().zone_id).finish_non_exhaustive()
    }
}
