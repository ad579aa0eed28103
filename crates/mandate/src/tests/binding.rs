//! A mandate in a request: its identity, and the admission that it belongs to.

use caracal_revocation_state::{Admission, Checks, Identity, NotReady, Revocations};
use http::Extensions;

use super::*;
use crate::Mandate;

async fn mandate(sts: &Sts, key: &SigningKey, sid: &str) -> Mandate {
    sts.verifier().verify(&key.sign(&sts.claims(sid))).await.unwrap()
}

fn admit(revocations: &Revocations, mandate: &Mandate) -> Admission {
    let identity = mandate.identity(revocations);
    revocations.admit(&identity, &Checks::default(), revocations.now(), None).unwrap()
}

#[tokio::test]
async fn authority_is_computed_once_the_state_is_ready_and_belongs_to_it() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let mandate = mandate(&sts, &key, "ar-1").await;
    assert_eq!(sts.revocations.staleness(sts.revocations.now()), Err(NotReady::Replaying));
    assert!(mandate.authority(&sts.revocations).is_none());
    let early = mandate.identity(&sts.revocations);
    assert!(matches!(&early, Identity::Claims(claims) if **claims == *mandate.claims()));

    sts.revocations.confirm(sts.revocations.now());
    let authority = mandate.authority(&sts.revocations).unwrap();
    assert!(authority.is_by(&sts.revocations) && authority.is_of(mandate.claims()));
    assert!(matches!(mandate.identity(&sts.revocations), Identity::Authority(_)));
    sts.revocations.set_not_ready(NotReady::Replaying);
    assert!(mandate.authority(&sts.revocations).is_some(), "it was computed before");

    // Another state looks the claims up itself.
    let other = RevocationsWriter::with_clock(Options::default(), sts.clock.clone());
    other.confirm(other.now());
    assert!(mandate.authority(&other).is_none());
    assert!(matches!(mandate.identity(&other), Identity::Claims(_)));
}

#[tokio::test]
async fn handler_gets_only_the_mandate_of_its_admission() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    sts.revocations.confirm(sts.revocations.now());
    let (own, other) = (mandate(&sts, &key, "ar-1").await, mandate(&sts, &key, "ar-2").await);
    let id = |extensions: &Extensions| Mandate::of(extensions).map(|it| it.id().to_owned());
    let mut extensions = Extensions::new();
    assert_eq!(id(&extensions), None);
    extensions.insert(own.clone());
    assert_eq!(id(&extensions).as_deref(), Some("jti-ar-1"), "a layer that verifies only");
    let admission = admit(&sts.revocations, &own);
    assert!(own.is_of(&admission) && !other.is_of(&admission));
    extensions.insert(admission);
    assert_eq!(id(&extensions).as_deref(), Some("jti-ar-1"));
    extensions.insert(admit(&sts.revocations, &other));
    assert_eq!(id(&extensions), None, "an inner layer admitted another mandate");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn extractor_fails_unless_a_layer_verified_or_allowed_the_request() {
    use axum::extract::{FromRequestParts, OptionalFromRequestParts};
    use axum::response::IntoResponse as _;

    use crate::{Anonymous, MissingMandate};

    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    sts.revocations.confirm(sts.revocations.now());
    let mandate = mandate(&sts, &key, "ar-1").await;
    let admission = || admit(&sts.revocations, &mandate);
    let other = admit(&sts.revocations, &self::mandate(&sts, &key, "ar-2").await);
    type Leave = Box<dyn Fn(&mut Extensions)>;
    let with = |leave: &dyn Fn(&mut Extensions)| {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        leave(&mut parts.extensions);
        parts
    };
    let nothing: Leave = Box::new(|_| {});
    let (own, admitted) = (mandate.clone(), admission());
    let both: Leave = Box::new(move |all| {
        all.insert(own.clone());
        all.insert(admitted.clone());
    });
    let own = mandate.clone();
    let foreign: Leave = Box::new(move |all| {
        all.insert(own.clone());
        all.insert(other.clone());
    });
    let anonymous: Leave = Box::new(|all| {
        all.insert(Anonymous);
    });
    let admitted = admission();
    let anonymous_outside: Leave = Box::new(move |all| {
        all.insert(Anonymous);
        all.insert(admitted.clone());
    });
    for (name, leave, required, optional) in [
        ("no layer", nothing, false, None),
        ("admitted", both, true, Some(true)),
        ("another mandate was admitted", foreign, false, None),
        ("anonymous", anonymous, false, Some(false)),
        ("anonymous outside, admitted inside", anonymous_outside, false, None),
    ] {
        let mut parts = with(&*leave);
        let found = <Mandate as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await;
        assert_eq!(found.is_ok(), required, "{name}");
        let found =
            <Mandate as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()).await;
        assert_eq!(found.ok().map(|it| it.is_some()), optional, "{name}");
    }
    assert_eq!(MissingMandate.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}
