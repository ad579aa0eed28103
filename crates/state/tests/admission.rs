//! Admissions carry the identity that was decided on, and only a decision creates one.

use std::sync::Arc;

use caracal_revocation_state::{
    Admission, BaselineFact, Checks, Claims, CutPolicy, Identity, ManualClock, NotAdmitted,
    Options, Revocations, RevocationsWriter,
};

fn fresh() -> RevocationsWriter {
    let revocations =
        RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    revocations.confirm(revocations.now());
    revocations
}

fn admit(revocations: &Revocations, identity: &Identity) -> Result<Admission, NotAdmitted> {
    revocations.admit(identity, &Checks::default(), revocations.now(), None)
}

/// Claims that are valid at the time of a new `ManualClock`.
fn claims(sid: &str) -> Claims {
    let iat = 1_795_400_000;
    Claims::new(sid, iat, iat + 900)
}

/// Returns one identity as claims, as an authority of `own` and as an authority of another state.
fn identities(own: &Revocations, sid: &str) -> [Identity; 3] {
    let claims = claims(sid);
    [claims.clone().into(), own.authority(&claims).into(), fresh().authority(&claims).into()]
}

#[test]
fn admission_carries_the_claims_that_were_decided_on() {
    let (revocations, other) = (fresh(), fresh());
    for identity in identities(&revocations, "ar-1") {
        let admission = admit(&revocations, &identity).unwrap();
        assert_eq!(admission.claims(), Some(&claims("ar-1")));
        assert!(admission.is_by(&revocations) && admission.is_by(&revocations.clone()));
        assert!(!admission.is_by(&other));
    }
}

#[test]
fn admission_carries_the_identity_and_the_handle_of_its_request() {
    let revocations = fresh();
    let watch = Arc::new(CutPolicy::new(revocations.reader(), Checks::default()));
    for identity in identities(&revocations, "ar-1") {
        assert!(admit(&revocations, &identity).unwrap().running().is_none(), "nothing cuts it");
        let (checks, now) = (Checks::default(), revocations.now());
        let admission = revocations.admit(&identity, &checks, now, Some(&watch)).unwrap();
        assert_eq!(admission.identity().map(Identity::claims), Some(&claims("ar-1")));
        assert!(admission.running().is_some());
    }
}

#[test]
fn denies_revoked_and_unknown_identities_of_every_form() {
    let revocations = fresh();
    revocations.add(&BaselineFact::Revoked("ar-1"), revocations.now());
    for identity in identities(&revocations, "ar-1") {
        let denied = admit(&revocations, &identity);
        assert!(matches!(denied, Err(NotAdmitted::Denied(_))), "{denied:?}");
    }
    let unproven = RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    for identity in identities(&unproven, "ar-1") {
        let denied = admit(&unproven, &identity);
        assert!(matches!(denied, Err(NotAdmitted::Unknown(_))), "{denied:?}");
    }
}

#[test]
fn denies_claims_without_an_authority_record() {
    let revocations = fresh();
    for identity in identities(&revocations, "") {
        assert_eq!(admit(&revocations, &identity).unwrap_err(), NotAdmitted::NoRecord);
    }
    let (claims, now) = (claims(""), revocations.now());
    let unverified = revocations.admit_unverified(&claims, &Checks::default(), now, None);
    assert_eq!(unverified.unwrap_err(), NotAdmitted::NoRecord);
}

#[test]
fn unverified_admission_carries_no_identity() {
    let (revocations, claims) = (fresh(), claims("ar-1"));
    let now = revocations.now();
    let admission = revocations.admit_unverified(&claims, &Checks::default(), now, None).unwrap();
    assert!(admission.identity().is_none() && admission.claims().is_none());
}

#[test]
fn debug_output_holds_no_id() {
    let revocations = fresh();
    for identity in identities(&revocations, "ar-secret") {
        let admission = admit(&revocations, &identity).unwrap();
        let text = format!("{identity:?} {admission:?}");
        assert!(!text.contains("ar-secret"), "{text}");
        assert!(text.contains("Identity") && text.contains("Admission"), "{text}");
    }
}
