//! Fuzzes a token's payload: accepted claims mean the same to every reader, and each anchor in them
//! can be revoked.
#![no_main]

use std::collections::HashSet;
use std::fmt;

use caracal_revocation_state::{
    BaselineFact, Checks, Claims, Options, RevocationsWriter, Text, Verdict,
};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// All members of a JSON object in their order, with duplicates.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

fuzz_target!(|payload: &[u8]| {
    let owned = serde_json::from_slice::<Claims>(payload);
    let borrowed = serde_json::from_slice::<Claims<Text<'_>>>(payload);
    assert_eq!(owned.is_ok(), borrowed.is_ok());
    let (Ok(owned), Ok(borrowed)) = (owned, borrowed) else { return };
    assert!(owned.anchors(true).eq(borrowed.anchors(true)));
    assert_same_for_every_reader(payload, &owned);
    let revocations = RevocationsWriter::new(Options::default());
    revocations.confirm(revocations.now());
    let now = revocations.now();
    let before = revocations.decide(&borrowed, &Checks::default(), now);
    assert_eq!(before, revocations.authority(&owned).decide(&Checks::default(), now));
    let seconds = now.wall.as_secs().cast_signed();
    let lives = (owned.exp.saturating_sub(owned.iat) <= 3_600)
        && (owned.exp.saturating_add(60) > seconds)
        && (owned.iat <= seconds.saturating_add(60));
    assert_eq!(matches!(before, Verdict::Admitted(_)), lives, "{} to {}", owned.iat, owned.exp);
    for (_, anchor) in owned.anchors(true) {
        assert!(!anchor.is_empty());
        revocations.add(&BaselineFact::Revoked(anchor), revocations.now());
        let verdict = revocations.decide(&borrowed, &Checks::default(), revocations.now());
        assert!(matches!(verdict, Verdict::Denied(_)), "{anchor} is revoked");
    }
});

/// Asserts that a reader of the first of duplicate members, and a reader of the last, find the
/// claims that the decision used.
fn assert_same_for_every_reader(payload: &[u8], claims: &Claims) {
    // A `Value` cannot hold a number beyond a float's range, but an unused claim may.
    let Ok(Members(members)) = serde_json::from_slice(payload) else { return };
    let names: HashSet<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), members.len(), "a claim occurs twice");
    let found = |name: &str| members.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let text = |name: &str| found(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    assert_eq!(text("sid"), Some(&*claims.sid));
    assert_eq!(text("root_sid"), claims.root_sid.as_deref());
    assert_eq!(text("agent_session_id"), claims.agent_session_id.as_deref());
    assert_eq!(text("delegation_edge_id"), claims.delegation_edge_id.as_deref());
    assert_eq!(text("zone_id"), claims.zone_id.as_deref());
    assert_eq!(text("use"), claims.token_use.as_deref());
    let number = |name: &str| found(name).and_then(Value::as_i64);
    assert_eq!(number("iat"), Some(claims.iat));
    assert_eq!(number("exp"), Some(claims.exp));
    let epoch = found("delegation_graph_epoch").and_then(Value::as_u64);
    assert_eq!(epoch.unwrap_or(0), claims.delegation_graph_epoch);
    assert_eq!(number("hop_count"), claims.hop_count.map(i64::from));
    let list = |name: &str| found(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let path = list("delegation_path").iter().map(|edge| edge.as_str().unwrap_or_default());
    assert!(path.eq(claims.delegation_path.iter().map(|edge| &**edge)));
    let chain = list("delegation_chain");
    assert_eq!(chain.len(), claims.delegation_chain.len());
    for (hop, read) in chain.iter().zip(&claims.delegation_chain) {
        let text = |name: &str| hop[name].as_str().filter(|text| !text.is_empty());
        assert_eq!(text("agent_session_id"), read.agent_session_id.as_deref());
        assert_eq!(text("delegation_edge_id"), read.delegation_edge_id.as_deref());
    }
}
