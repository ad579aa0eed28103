use jsonwebtoken::Algorithm;

use super::*;
use crate::{
    ConfigError, InvalidMandate, Requirements, SubjectType, UnmetRequirement, Use, VerifyError,
};

async fn rejection(verifier: &Verifier, token: &str) -> InvalidMandate {
    match verifier.verify(token).await {
        Err(VerifyError::Invalid(why)) => why,
        other => panic!("{other:?}: {token}"),
    }
}

#[tokio::test]
async fn mandate_has_the_claims_of_its_token() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let mut claims = sts.claims("ar-1");
    claims["aud"] = json!(["https://other.example", AUDIENCE]);
    claims["target"] = json!(["orders"]);
    claims["agent_session_id"] = json!("gs-1");
    claims["delegation_edge_id"] = json!("de-1");
    claims["delegation_chain"] = json!([{"application_id": "app-1", "agent_session_id": "gs-0"}]);
    claims["delegation_path"] = json!(["de-0", "de-1"]);
    claims["hop_count"] = json!(1);
    claims["source_session_id"] = json!("gs-source");
    claims["target_session_id"] = json!("gs-target");
    let mandate = sts.verifier().verify(&key.sign(&claims)).await.unwrap();
    assert_eq!(&*mandate.claims().sid, "ar-1");
    assert_eq!(mandate.claims().delegation_chain.len(), 1);
    assert_eq!((mandate.issuer(), mandate.zone()), (sts.issuer.as_str(), ZONE));
    assert_eq!((mandate.subject(), mandate.client()), ("agent-1", "client-1"));
    assert_eq!(mandate.id(), "jti-ar-1");
    assert_eq!(mandate.subject_type(), SubjectType::Application);
    assert_eq!(mandate.token_use(), Use::Resource);
    assert!(mandate.audience().eq(["https://other.example", AUDIENCE]));
    assert!(mandate.targets().eq(["orders"]) && mandate.chain().eq(["app-1"]));
    assert!(mandate.scopes().eq(["orders:read", "orders:write"]));
    assert_eq!(mandate.source_session(), Some("gs-source"));
    assert_eq!(mandate.target_session(), Some("gs-target"));
    assert!(mandate.has_scope("orders:write") && !mandate.has_scope("orders"));
    assert_eq!(mandate.hops(), 2, "the path is longer than the count");
    let now = i64::try_from(sts.revocations.now().wall.as_secs()).unwrap();
    assert_eq!((mandate.issued(), mandate.expires()), (now, now + 600));
    let queries = sts.published.lock().unwrap().queries.clone();
    assert_eq!(queries, ["zone_id=z-1"]);
    let text = format!("{mandate:?}");
    assert!(text.contains(ZONE) && !text.contains("ar-1") && !text.contains("agent-1"), "{text}");
}

#[tokio::test]
async fn mandate_with_few_claims_has_no_others() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let mut claims = sts.claims("ar-1");
    claims.as_object_mut().unwrap().remove("scope");
    claims["sub_type"] = json!("user");
    let mandate = sts.verifier().verify(&key.sign(&claims)).await.unwrap();
    assert_eq!((mandate.source_session(), mandate.target_session()), (None, None));
    assert_eq!(mandate.scopes().count() + mandate.targets().count() + mandate.chain().count(), 0);
    assert_eq!(mandate.subject_type(), SubjectType::User);
    assert!(!mandate.has_scope(""));
}

#[tokio::test]
async fn verifier_and_builder_name_issuer_zone_and_audience() {
    let sts = Sts::start(&[&SigningKey::new("k1")]).await;
    assert_eq!(sts.verifier().zone(), ZONE);
    for text in [format!("{:?}", sts.builder()), format!("{:?}", sts.verifier())] {
        for part in [sts.issuer.as_str(), ZONE, AUDIENCE] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn reasons_have_their_labels() {
    for (why, label) in [
        (InvalidMandate::Malformed, "malformed"),
        (InvalidMandate::Header, "header"),
        (InvalidMandate::Claims, "claims"),
        (InvalidMandate::Issuer, "issuer"),
        (InvalidMandate::Audience, "audience"),
        (InvalidMandate::Zone, "zone"),
        (InvalidMandate::Use, "use"),
        (InvalidMandate::Expired, "expired"),
        (InvalidMandate::NotYet, "not_yet"),
        (InvalidMandate::LifetimeTooLong, "lifetime_too_long"),
        (InvalidMandate::UnknownKey, "unknown_key"),
        (InvalidMandate::Signature, "signature"),
    ] {
        assert_eq!(why.label(), label);
    }
}

#[tokio::test]
async fn reports_the_reason_for_each_invalid_claim() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    let now = sts.revocations.now().wall.as_secs();
    let cases = [
        ("iss", json!("https://sts.example"), InvalidMandate::Issuer),
        ("aud", json!("https://other.example"), InvalidMandate::Audience),
        ("aud", json!([]), InvalidMandate::Audience),
        ("zone_id", json!("z-2"), InvalidMandate::Zone),
        ("use", json!("session"), InvalidMandate::Use),
        ("use", json!("gateway"), InvalidMandate::Use),
        ("use", json!("anything"), InvalidMandate::Claims),
        ("sub_type", json!("robot"), InvalidMandate::Claims),
        ("exp", json!(now - 60), InvalidMandate::Expired),
        ("exp", json!(now + 3_601), InvalidMandate::LifetimeTooLong),
        ("iat", json!(now - 3_001), InvalidMandate::LifetimeTooLong),
        ("exp", json!(i64::MAX), InvalidMandate::LifetimeTooLong),
        ("exp", json!("never"), InvalidMandate::Claims),
        ("exp", json!(1.5), InvalidMandate::Claims),
        ("iat", json!(now + 61), InvalidMandate::NotYet),
        ("nbf", json!(now + 61), InvalidMandate::NotYet),
        ("hop_count", json!(-1), InvalidMandate::Claims),
        ("scope", json!(["orders:read"]), InvalidMandate::Claims),
        ("delegation_chain", json!([{"agent_session_id": "gs-0"}]), InvalidMandate::Claims),
    ];
    for (name, value, why) in cases {
        let token = key.sign(&with(sts.claims("ar-1"), name, value.clone()));
        assert_eq!(rejection(&verifier, &token).await, why, "{name}: {value}");
    }
    for (name, value) in
        [("exp", now - 59), ("iat", now + 60), ("nbf", now + 60), ("exp", now + 3_600)]
    {
        let token = key.sign(&with(sts.claims("ar-1"), name, json!(value)));
        assert!(verifier.verify(&token).await.is_ok(), "{name} is within the leeway");
    }
    // Every decision denies a token one minute after `exp`, so a longer leeway has no effect.
    let lenient = sts.builder().with_leeway(Duration::from_secs(600)).build(&sts.revocations);
    let token = key.sign(&with(sts.claims("ar-1"), "exp", json!(now - 60)));
    assert_eq!(rejection(&lenient.unwrap(), &token).await, InvalidMandate::Expired);
}

#[tokio::test]
async fn rejects_token_without_a_required_claim() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    for name in [
        "iss",
        "sub",
        "sub_type",
        "use",
        "aud",
        "client_id",
        "jti",
        "zone_id",
        "sid",
        "root_sid",
        "exp",
        "iat",
    ] {
        let mut claims = sts.claims("ar-1");
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(
            rejection(&verifier, &key.sign(&claims)).await,
            InvalidMandate::Claims,
            "{name}"
        );
        let null = with(sts.claims("ar-1"), name, Value::Null);
        assert_eq!(rejection(&verifier, &key.sign(&null)).await, InvalidMandate::Claims, "{name}");
    }
    let strict = sts.builder().with_required_claim("tenant").build(&sts.revocations).unwrap();
    let token = key.sign(&sts.claims("ar-1"));
    assert_eq!(rejection(&strict, &token).await, InvalidMandate::Claims);
    let token = key.sign(&with(sts.claims("ar-1"), "tenant", json!("t-1")));
    assert!(strict.verify(&token).await.is_ok());
}

#[tokio::test]
async fn rejects_duplicate_claim_even_if_signed() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let json = sts.claims("ar-1").to_string();
    let sign = |payload: String| {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k1"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), key.encoding_key(), Algorithm::ES256)
                .unwrap();
        format!("{signed}.{signature}")
    };
    assert!(verifier.verify(&sign(json.clone())).await.is_ok());
    for twice in [r#""sid":"ar-2","#, r#""s\u0069d":"ar-2","#, r#""x":1,"x":2,"#] {
        let payload = json.replacen('{', &format!("{{{twice}"), 1);
        assert_eq!(rejection(&verifier, &sign(payload)).await, InvalidMandate::Claims, "{twice}");
    }
}

#[tokio::test]
async fn rejects_signature_of_another_key() {
    let (key, other) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let claims = sts.claims("ar-1");
    assert_eq!(rejection(&verifier, &other.sign(&claims)).await, InvalidMandate::Signature);
    let good = key.sign(&claims);
    let (head, _) = good.rsplit_once('.').unwrap();
    let (_, foreign) =
        other.sign(&claims).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(rejection(&verifier, &format!("{head}.{foreign}")).await, InvalidMandate::Signature);
    assert_eq!(rejection(&verifier, &format!("{head}.AAAA")).await, InvalidMandate::Signature);
    assert!(verifier.verify(&good).await.is_ok());
}

#[tokio::test]
async fn names_foreign_zone_only_after_signature_verifies() {
    let (key, other) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let claims = with(sts.claims("ar-1"), "zone_id", json!("z-2"));
    assert_eq!(rejection(&verifier, &key.sign(&claims)).await, InvalidMandate::UnknownKey);
    assert_eq!(sts.fetches(), 0, "a token that does not fit causes no fetch");
    verifier.warm_up().await.unwrap();
    assert_eq!(rejection(&verifier, &other.sign(&claims)).await, InvalidMandate::Signature);
    assert_eq!(
        rejection(&verifier, &SigningKey::new("k2").sign(&claims)).await,
        InvalidMandate::UnknownKey
    );
    let expired = with(claims.clone(), "exp", json!(1));
    assert_eq!(rejection(&verifier, &key.sign(&expired)).await, InvalidMandate::Expired);
    assert_eq!(rejection(&verifier, &key.sign(&claims)).await, InvalidMandate::Zone);
    assert_eq!(
        rejection(&verifier, &key.sign(&claims)).await,
        InvalidMandate::Zone,
        "nor is it remembered"
    );
    assert_eq!(sts.fetches(), 1);
}

#[tokio::test]
async fn rejects_wrong_header_without_a_fetch() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let good = key.sign(&sts.claims("ar-1"));
    let (_, rest) = good.split_once('.').unwrap();
    for header in [
        r#"{"alg":"none","kid":"k1"}"#,
        r#"{"alg":"HS256","kid":"k1"}"#,
        r#"{"alg":"es256","kid":"k1"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":""}"#,
        r#"{"alg":"ES256","kid":"k1","crit":["exp"]}"#,
        r#"{"alg":"ES256","alg":"none","kid":"k1"}"#,
        "{}",
    ] {
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(rejection(&verifier, &token).await, InvalidMandate::Header, "{header}");
    }
    for token in ["", "a", "a.b", "..", "a.b.c.d", &format!("{good}="), &format!("{good}.x")] {
        assert_eq!(rejection(&verifier, token).await, InvalidMandate::Malformed, "{token}");
    }
    assert_eq!(sts.fetches(), 0);
}

#[tokio::test]
async fn checks_requirements_of_a_route() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let mut claims = sts.claims("ar-1");
    claims["target"] = json!(["orders"]);
    claims["delegation_chain"] = json!([{"application_id": "app-1"}]);
    claims["hop_count"] = json!(10);
    let mandate = sts.verifier().verify(&key.sign(&claims)).await.unwrap();
    let any = Requirements::new;
    let met = any().scope("orders:read").scope("orders:write").target("orders");
    let met = met.chain_contains("app-1").uses(&[Use::Gateway, Use::Resource]);
    assert_eq!(met.check(&mandate), Ok(()));
    let cases = [
        (any().scope("orders:read").scope("admin"), UnmetRequirement::Scope),
        (any().scope("orders"), UnmetRequirement::Scope),
        (any().target("invoices"), UnmetRequirement::Target),
        (any().session(), UnmetRequirement::Session),
        (any().delegation(), UnmetRequirement::Delegation),
        (any().chain_contains("app-2"), UnmetRequirement::Chain),
        (any().uses(&[Use::Gateway, Use::Session]), UnmetRequirement::Use),
        (any().max_hops(9), UnmetRequirement::Hops),
        (any().subject_type(SubjectType::User), UnmetRequirement::SubjectType),
    ];
    for (requirements, unmet) in cases {
        assert_eq!(requirements.check(&mandate), Err(unmet));
    }
}

#[tokio::test]
async fn hops_is_the_largest_count_of_any_claim() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let hops = |count: usize| vec![json!({"application_id": "app"}); count];
    let path = |count: usize| vec![json!("de"); count];
    for (count, in_path, in_chain, expected) in [
        // As in a real mandate with one delegation: the chain also names the receiver.
        (Some(1), 1, 2, 1),
        (Some(3), 0, 0, 3),
        (Some(1), 3, 2, 3),
        (Some(1), 1, 3, 3),
        (Some(0), 0, 1, 0),
        (None, 0, 12, 12),
        (None, 0, 0, 0),
        (Some(u32::MAX), 1, 2, u32::MAX),
    ] {
        let mut claims = sts.claims("ar-1");
        claims["hop_count"] = json!(count);
        claims["delegation_path"] = json!(path(in_path));
        claims["delegation_chain"] = json!(hops(in_chain));
        let mandate = sts.verifier().verify(&key.sign(&claims)).await.unwrap();
        assert_eq!(mandate.hops(), expected, "{count:?}, {in_path}, {in_chain}");
        let met = Requirements::new().max_hops(2).check(&mandate).is_ok();
        assert_eq!(met, expected <= 2, "{count:?}, {in_path}, {in_chain}");
    }
}

#[tokio::test]
async fn rejects_unusable_configuration() {
    let sts = Sts::start(&[]).await;
    let build = |issuer: &str, zone: &str, audience: &str| {
        Verifier::builder(issuer, zone, audience)
            .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
            .build(&sts.revocations)
            .err()
    };
    assert_eq!(build(&sts.issuer, ZONE, AUDIENCE), None);
    assert_eq!(build("", ZONE, AUDIENCE), Some(ConfigError::Empty));
    assert_eq!(build(&sts.issuer, "", AUDIENCE), Some(ConfigError::Empty));
    assert_eq!(build(&sts.issuer, ZONE, ""), Some(ConfigError::Empty));
    assert_eq!(build("http://sts.example", ZONE, AUDIENCE), Some(ConfigError::InsecureKeys));
    assert!(ConfigError::InsecureKeys.to_string().contains("`insecure_accept_http_keys`"));
    let accepting = Verifier::builder("http://sts:8080", ZONE, AUDIENCE)
        .with_crypto(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER)
        .insecure_accept_http_keys();
    assert!(accepting.build(&sts.revocations).is_ok(), "Caracal's default issuer");
    let without_backend = Verifier::builder(&sts.issuer, ZONE, AUDIENCE).build(&sts.revocations);
    let has_default = cfg!(feature = "aws_lc_rs");
    assert_eq!(without_backend.err(), (!has_default).then_some(ConfigError::NoCrypto));
    #[cfg(not(feature = "tls"))]
    assert_eq!(build("https://sts.example", ZONE, AUDIENCE), Some(ConfigError::NoTls));
}
