//! What a request that goes on carries.

use super::handle::Running;
use super::signal::RevokedSignal;
use crate::Admitted;

/// The proof that a request was admitted, and the way to learn that it must end: what a layer puts
/// into the extensions of each request that it admitted on some authority.
///
/// ```
/// use caracal_revocation_state::Admission;
/// async fn work(admission: Admission) {
///     println!("as of {} ms ago", admission.admitted().staleness().as_millis());
///     let cut = admission.revoked().await;
///     println!("no longer: {}", cut.label());
/// }
/// ```
// One entry and not two: each costs an allocation, and soon a larger map.
#[derive(Clone, Debug)]
pub struct Admission {
    admitted: Admitted,
    running: Option<Running>,
}

impl Admission {
    /// For layers: the proof, and what runs, unless nothing cuts it.
    #[must_use]
    pub const fn new(admitted: Admitted, running: Option<Running>) -> Self {
        Self { admitted, running }
    }

    /// The proof.
    #[must_use]
    pub const fn admitted(&self) -> Admitted {
        self.admitted
    }

    /// Resolves once the authority behind the request has ended; never of one that nothing cuts.
    pub fn revoked(&self) -> RevokedSignal {
        RevokedSignal(self.running.clone())
    }
}
