//! Claims as a verifier reads them from a token's payload.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use caracal_revocation_state::{AnchorKind, Claims, Hop, Text};
use serde_json::{Value, json};

fn payload() -> Value {
    json!({
        "sid": "ar-1", "root_sid": "ar-0", "agent_session_id": "gs-1", "delegation_edge_id": "de-1",
        "zone_id": "z-1", "use": "gateway", "hop_count": 2, "delegation_graph_epoch": 7,
        "delegation_chain": [
            { "agent_session_id": "gs-0", "delegation_edge_id": "de-0", "application_id": "a" },
            { "delegation_edge_id": "de-1" },
        ],
        "delegation_path": ["de-0", "de-1"],
        "iat": 1_000, "exp": 2_000, "scope": "read", "nested": { "sid": "ar-2" },
    })
}

fn expected() -> Claims {
    let mut claims = Claims::new("ar-1", 1_000, 2_000);
    claims.root_sid = Some("ar-0".into());
    claims.agent_session_id = Some("gs-1".into());
    claims.delegation_edge_id = Some("de-1".into());
    claims.zone_id = Some("z-1".into());
    claims.token_use = Some("gateway".into());
    claims.hop_count = Some(2);
    claims.delegation_graph_epoch = 7;
    let first = Hop::new(Some("gs-0".into()), Some("de-0".into()));
    claims.delegation_chain = vec![first, Hop::new(None, Some("de-1".into()))];
    claims.delegation_path = vec!["de-0".into(), "de-1".into()];
    claims
}

#[test]
fn reads_every_claim_with_owned_and_with_borrowed_text() {
    let json = payload().to_string();
    assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), expected());
    let borrowed: Claims<Text<'_>> = serde_json::from_str(&json).unwrap();
    assert_eq!((borrowed.sid.as_ref(), borrowed.iat, borrowed.exp), ("ar-1", 1_000, 2_000));
    assert_eq!(borrowed.zone_id, Some(Text::from("z-1")));
    let ids: Vec<_> = borrowed.anchors(true).collect();
    assert_eq!(ids, expected().anchors(true).collect::<Vec<_>>());
    // JSON with an escape cannot be borrowed.
    let escaped: Text<'_> = serde_json::from_str(r#""a\n\u00e9""#).unwrap();
    assert_eq!(escaped.as_ref(), "a\n\u{e9}");
    let error = serde_json::from_str::<Text<'_>>("7").unwrap_err().to_string();
    assert!(error.contains("a string"), "{error}");
}

#[test]
fn anchors_name_the_claim_that_holds_them() {
    use AnchorKind::{AgentSession, ChainDelegation, ChainSession, Delegation, RootSid, Sid};
    let own = [(Sid, "ar-1"), (RootSid, "ar-0"), (AgentSession, "gs-1"), (Delegation, "de-1")];
    let chain = [
        (ChainSession, "gs-0"),
        (ChainDelegation, "de-0"),
        (ChainDelegation, "de-1"),
        (ChainDelegation, "de-0"),
        (ChainDelegation, "de-1"),
    ];
    assert!(expected().anchors(false).eq(own));
    assert!(expected().anchors(true).eq(own.into_iter().chain(chain)));
}

#[test]
fn empty_and_null_claims_are_absent_and_some_are_required() {
    for absent in [json!(""), Value::Null] {
        for name in ["root_sid", "agent_session_id", "delegation_edge_id", "zone_id", "use"] {
            let mut payload = payload();
            payload[name] = absent.clone();
            let mut without = payload.clone();
            without.as_object_mut().unwrap().remove(name);
            let read =
                |payload: &Value| serde_json::from_str::<Claims>(&payload.to_string()).unwrap();
            assert_eq!(read(&payload), read(&without), "{name}");
            assert_ne!(read(&payload), expected(), "{name}");
        }
    }
    for name in ["sid", "iat", "exp"] {
        for absent in [None, Some(Value::Null)] {
            let mut payload = payload();
            match absent {
                Some(null) => payload[name] = null,
                None => drop(payload.as_object_mut().unwrap().remove(name)),
            }
            let error = serde_json::from_str::<Claims>(&payload.to_string()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn wrong_types_and_repeated_claims_are_errors() {
    for (json, part) in [
        ("[]", "the claims of a mandate"),
        (r#"{"sid":"a","iat":1,"exp":2,"delegation_chain":[7]}"#, "a hop of a delegation chain"),
        (r#"{"sid":7,"iat":1,"exp":2}"#, "a string"),
        (r#"{"sid":"a","iat":"1","exp":2}"#, "i64"),
        (r#"{"sid":"a","sid":"a","iat":1,"exp":2}"#, "a claim occurs twice"),
        (r#"{"sid":"a","iat":1,"iat":1,"exp":2}"#, "a claim occurs twice"),
        (r#"{"sid":"a","iat":1,"exp":2,"other":1,"other":2}"#, "a claim occurs twice"),
        (r#"{"sid":"a","sid":null,"iat":1,"exp":2}"#, "a claim occurs twice"),
        (
            r#"{"sid":"a","iat":1,"exp":2,"delegation_chain":[{"a":1,"a":1}]}"#,
            "a claim occurs twice",
        ),
    ] {
        for error in [
            serde_json::from_str::<Claims>(json).unwrap_err().to_string(),
            serde_json::from_str::<Claims<Text<'_>>>(json).unwrap_err().to_string(),
        ] {
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}

#[test]
fn hops_are_the_largest_number_that_a_claim_gives() {
    let hop = || Hop::new(None, Some("de".into()));
    for (count, chain, path, hops) in [
        (None, 0, 0, 0),
        (None, 2, 0, 2),
        (None, 1, 3, 3),
        (Some(1), 2, 0, 1),
        (Some(1), 3, 0, 3),
        (Some(2), 3, 1, 2),
        (Some(0), 1, 0, 0),
        (Some(0), 2, 0, 2),
        (Some(4), 0, 5, 5),
        (Some(u32::MAX), 2, 1, u32::MAX),
    ] {
        let mut claims = Claims::new("ar-1", 0, 1);
        claims.hop_count = count;
        claims.delegation_chain = (0..chain).map(|_| hop()).collect();
        claims.delegation_path = (0..path).map(|_| "de".into()).collect();
        assert_eq!(claims.hops(), hops, "{count:?} {chain} {path}");
    }
}
