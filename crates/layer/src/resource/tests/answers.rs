//! The code, the status and the challenge of each denial.

use caracal_revocation_mandate::{InvalidMandate, SubjectType, UnmetRequirement};

use super::*;
use crate::answer::Profile;

#[tokio::test]
async fn each_unmet_requirement_has_its_code() {
    let world = World::new().await;
    let any = || world.layer();
    let met = any()
        .require_scope("orders:read")
        .require_target("orders")
        .require_session()
        .require_delegation()
        .require_chain_contains("app-0")
        .require_subject_type(SubjectType::Application)
        .max_hops(2);
    assert_eq!(send(&met, Some(&world.good())).await.status(), 200);
    let mut bare = world.claims();
    for name in ["agent_session_id", "delegation_edge_id"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    let mut far = world.claims();
    far["hop_count"] = json!(11);
    let cases = [
        (
            any().require_scope("admin"),
            world.claims(),
            "insufficient_scope",
            UnmetRequirement::Scope,
        ),
        (any().require_target("x"), world.claims(), "insufficient_scope", UnmetRequirement::Target),
        (
            any().require_subject_type(SubjectType::User),
            world.claims(),
            "insufficient_scope",
            UnmetRequirement::SubjectType,
        ),
        (any().require_session(), bare.clone(), "session_required", UnmetRequirement::Session),
        (any().require_delegation(), bare, "delegation_required", UnmetRequirement::Delegation),
        (
            any().require_chain_contains("app-9"),
            world.claims(),
            "chain_mismatch",
            UnmetRequirement::Chain,
        ),
        (any(), far, "hop_count_exceeded", UnmetRequirement::Hops),
    ];
    for (layer, claims, code, unmet) in cases {
        let response = send(&layer, Some(&world.sign(&claims))).await;
        assert_eq!(status_and_error(&response), (403, code.to_owned()));
        let rejection = response.extensions().get::<RequestDenial>().unwrap();
        assert_eq!(rejection.unmet(), Some(unmet));
    }
}

#[tokio::test]
async fn challenges_for_a_token_name_resource_metadata() {
    let world = World::new().await;
    let url = "https://api.example/.well-known/oauth-protected-resource/mcp";
    let metadata = format!(r#"resource_metadata="{url}""#);
    let layer = world.layer().require_scope("a:write").with_resource_metadata(url).unwrap();
    let challenge = |response: &Response<Bytes>| {
        response.headers()["www-authenticate"].to_str().unwrap().to_owned()
    };
    let response = send(&layer, None).await;
    assert_eq!(challenge(&response), format!(r#"Bearer scope="a:write", {metadata}"#));
    let response = send(&layer, Some("a.b.c")).await;
    assert_eq!(response.status(), 401);
    assert!(challenge(&response).starts_with(r#"Bearer error="invalid_token", error_descr"#));
    assert!(challenge(&response).ends_with(&metadata));
    let response = send(&layer, Some(&world.good())).await;
    assert_eq!(response.status(), 403);
    assert!(challenge(&response).ends_with(&format!(r#", scope="a:write", {metadata}"#)));
    let gateway = GatewayLayer::new(world.revocations.reader());
    let gateway = gateway.with_resource_metadata(url).unwrap();
    assert_eq!(challenge(&send(&gateway, None).await), format!("Bearer {metadata}"));
    // An outage does not require another token.
    let unproven = RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()));
    let layer = ResourceLayer::new(verifier(&world.issuer, &unproven, Use::Resource));
    let response = send(&layer.with_resource_metadata(url).unwrap(), Some(&world.good())).await;
    assert_eq!(response.status(), 503);
    assert!(!response.headers().contains_key("www-authenticate"));
    assert!(world.layer().with_resource_metadata("api.example/\"").is_err());
}

#[tokio::test]
async fn answer_403_challenges_with_required_scope() {
    let world = World::new().await;
    let any = || world.layer().require_scope("orders:write").require_scope("orders:pay");
    let response = send(&any(), Some(&world.good())).await;
    assert_eq!(response.status(), 403);
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer error=\"insufficient_scope\", error_description=\"the mandate lacks a required \
         scope\", scope=\"orders:write orders:pay\""
    );
    // A scope outside the grammar is not sent: its quote would end the parameter.
    let response = send(&world.layer().require_scope("a\" b=\"c"), Some(&world.good())).await;
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer error=\"insufficient_scope\", error_description=\"the mandate lacks a required \
         scope\""
    );
    let response = send(&any(), None).await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer scope=\"orders:write orders:pay\"");
    let response = send(&world.layer().require_chain_contains("app-9"), Some(&world.good())).await;
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer error=\"chain_mismatch\", error_description=\"the delegation chain lacks a \
         required application\""
    );
}

#[tokio::test]
async fn each_invalid_mandate_has_its_code() {
    let world = World::new().await;
    let response = send(&world.layer(), None).await;
    assert_eq!(status_and_error(&response), (401, "missing_token".to_owned()));
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let mut other = world.claims();
    other["zone_id"] = json!("z-2");
    let layer = world.layer();
    let unverified = send(&layer, Some(&world.sign(&other))).await;
    assert_eq!(
        status_and_error(&unverified),
        (401, "invalid_token".to_owned()),
        "no key is fetched for it"
    );
    assert_eq!(send(&layer, Some(&world.good())).await.status(), 200);
    let response = send(&layer, Some(&world.sign(&other))).await;
    assert_eq!(status_and_error(&response), (401, "invalid_zone".to_owned()));
    for (name, value, why) in [
        ("aud", json!("x"), InvalidMandate::Audience),
        ("use", json!("gateway"), InvalidMandate::Use),
        ("exp", json!(1), InvalidMandate::Expired),
        ("exp", json!(1_795_403_601), InvalidMandate::LifetimeTooLong),
        ("nbf", json!(1_795_400_061), InvalidMandate::NotYet),
    ] {
        let mut claims = world.claims();
        claims[name] = value;
        let response = send(&world.layer(), Some(&world.sign(&claims))).await;
        assert_eq!(status_and_error(&response), (401, "invalid_token".to_owned()));
        assert_eq!(response.extensions().get::<RequestDenial>().unwrap().invalid(), Some(why));
        let expected = match why {
            InvalidMandate::Expired => RequestDenialKind::Expired,
            InvalidMandate::LifetimeTooLong => RequestDenialKind::LifetimeTooLong,
            InvalidMandate::NotYet => RequestDenialKind::NotYetValid,
            _ => RequestDenialKind::InvalidMandate,
        };
        assert_eq!(kind(&response), Some(expected));
    }
}

#[test]
fn each_answer_has_a_hint_and_only_outages_are_503() {
    for kind in RequestDenialKind::ALL {
        let answer = Profile::Resource.answer(kind);
        assert!(answer.hint.is_some(), "{kind:?}");
        use RequestDenialKind::{KeysUnavailable, Unknown, UseUnknown};
        let is_outage = matches!(kind, Unknown | KeysUnavailable | UseUnknown);
        assert_eq!(answer.status == 503, is_outage, "{kind:?}");
        assert_eq!(answer.error == "sts_unavailable", is_outage, "{kind:?}");
        let is_revoked = matches!(kind, RequestDenialKind::Revoked | RequestDenialKind::Suspended);
        assert_eq!(answer.error == "session_revoked", is_revoked, "{kind:?}");
        let is_version = kind == RequestDenialKind::UnsupportedVersion;
        assert_eq!(answer.status == 505, is_version, "{kind:?}");
        assert!(answer.status.is_client_error() || is_outage || is_version, "{kind:?}");
    }
}
