//! The proof that a request was admitted, with the identity that it was decided on.

use std::sync::Arc;

use super::handle::RequestCancellation;
use super::signal::RevokedSignal;
use super::watch::CutPolicy;
use crate::claims::Claims;
use crate::clock::Moment;
use crate::deciding::Subject;
use crate::identity::Identity;
use crate::revocations::Revocations;
use crate::state::StateId;
use crate::unknown::UnknownCause;
use crate::verdict::{Admitted, Checks, Denial, Verdict};

/// The proof that a request was admitted. It holds the identity that the decision used, and the
/// signal that the request must end. A layer puts it into the extensions of each request that it
/// admits.
///
/// Only [`Revocations::admit`] and [`Revocations::admit_unverified`] create one, by deciding. Inner
/// layers and handlers read the identity here and nowhere else in the request.
///
/// ```
/// use caracal_revocation_state::Admission;
/// async fn work(admission: Admission) {
///     println!("in zone {:?}", admission.claims().and_then(|claims| claims.zone_id.as_ref()));
///     println!("as of {} ms ago", admission.admitted().staleness().as_millis());
///     let cut = admission.revoked().await;
///     println!("no longer: {}", cut.label());
/// }
/// ```
// One extension and not several: each costs an allocation and makes the map larger.
#[derive(Clone, Debug)]
pub struct Admission {
    admitted: Admitted,
    running: Option<RequestCancellation>,
    identity: Option<Identity>,
    state: StateId,
}

/// The reason why [`Revocations::admit`] returns no [`Admission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The token must not be used any more.
    Denied(Denial),
    /// The verdict is unknown.
    Unknown(UnknownCause),
    /// The claims name no authority record. They would match no revocation and always be admitted.
    NoRecord,
}

impl Admission {
    /// Returns the proof of the decision.
    #[must_use]
    pub const fn admitted(&self) -> Admitted {
        self.admitted
    }

    /// Returns the identity that was decided on. `None` if the token was read without verification.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns the claims that were decided on. `None` if the token was read without verification.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.identity.as_ref().map(Identity::claims)
    }

    /// Returns `true` if this state decided. Another state's admission proves nothing here.
    #[must_use]
    pub fn is_by(&self, revocations: &Revocations) -> bool {
        self.state == revocations.id()
    }

    /// Returns the handle of the running request, for layers. `None` if nothing cuts it.
    #[must_use]
    pub const fn running(&self) -> Option<&RequestCancellation> {
        self.running.as_ref()
    }

    /// Returns a signal that resolves once the authority behind the request has ended. It never
    /// resolves if nothing cuts the request.
    pub fn revoked(&self) -> RevokedSignal {
        RevokedSignal(self.running.clone())
    }
}

impl Revocations {
    /// Decides on an identity and admits the request. For layers. If `watch` is given, it cuts the
    /// running request; it must be a policy over this state.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`] gives the reason why the request must be denied.
    ///
    /// ```
    /// use caracal_revocation_state::{Checks, Claims, BaselineFact, NotAdmitted, Options, RevocationsWriter};
    ///
    /// let revocations = RevocationsWriter::new(Options::default());
    /// revocations.confirm(revocations.now());
    /// let now = revocations.now();
    /// let issued = i64::try_from(now.wall.as_secs())?;
    /// let identity = Claims::new("ar-1", issued, issued + 900).into();
    /// let checks = Checks::default();
    /// let admission = revocations.admit(&identity, &checks, now, None);
    /// assert!(admission.is_ok_and(|admission| admission.is_by(&revocations)));
    ///
    /// revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
    /// let denied = revocations.admit(&identity, &checks, revocations.now(), None);
    /// assert!(matches!(denied, Err(NotAdmitted::Denied(_))));
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    pub fn admit(
        &self,
        identity: &Identity,
        checks: &Checks,
        now: Moment,
        watch: Option<&Arc<CutPolicy>>,
    ) -> Result<Admission, NotAdmitted> {
        let (admitted, running) = match identity {
            Identity::Authority(authority) if authority.is_by(self) => {
                let admitted = self.admitted(authority.subject(), checks, now)?;
                (admitted, watch.map(|watch| watch.start_on(authority)))
            }
            // The digests of another state are not valid here; the claims are.
            Identity::Authority(authority) => {
                let claims = authority.claims();
                let admitted = self.admitted(claims, checks, now)?;
                (admitted, watch.map(|watch| watch.start(claims)))
            }
            Identity::Claims(claims) => {
                let admitted = self.admitted(&**claims, checks, now)?;
                (admitted, watch.map(|watch| watch.start_shared(claims)))
            }
        };
        let identity = Some(identity.clone());
        Ok(Admission { admitted, running, identity, state: self.id() })
    }

    /// Decides on the claims of an unverified token. For layers. The admission carries no identity.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`] gives the reason why the request must be denied.
    pub fn admit_unverified<S: AsRef<str>>(
        &self,
        claims: &Claims<S>,
        checks: &Checks,
        now: Moment,
        watch: Option<&Arc<CutPolicy>>,
    ) -> Result<Admission, NotAdmitted> {
        let admitted = self.admitted(claims, checks, now)?;
        let running = watch.map(|watch| watch.start(claims));
        Ok(Admission { admitted, running, identity: None, state: self.id() })
    }

    fn admitted(
        &self,
        subject: &impl Subject,
        checks: &Checks,
        now: Moment,
    ) -> Result<Admitted, NotAdmitted> {
        if !subject.names_record() {
            return Err(NotAdmitted::NoRecord);
        }
        match self.state().decide_on(subject, checks, now) {
            Verdict::Admitted(admitted) => Ok(admitted),
            Verdict::Denied(denial) => Err(NotAdmitted::Denied(denial)),
            Verdict::Unknown(unknown) => Err(NotAdmitted::Unknown(unknown)),
        }
    }
}
