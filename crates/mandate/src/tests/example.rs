//! Caracal's example of a mandate's claims.

use caracal_test_support::foreign::caracal_file;

use super::*;
use crate::Use;

#[tokio::test]
async fn accepts_the_example_claims_of_caracal() {
    let Some(text) = caracal_file("jwt-claims.resource.valid.json") else { return };
    let example: Value = serde_json::from_str(&text).unwrap();
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    // The claims of this issuer, and of the time of the test.
    let mut claims = example.clone();
    for name in ["iss", "aud", "zone_id", "iat", "exp"] {
        claims[name] = sts.claims("ar-1")[name].clone();
    }
    let mandate = sts.verifier().verify(&key.sign(&claims)).await.unwrap();
    assert_eq!((mandate.token_use(), mandate.hops()), (Use::Resource, 1));
    let known = mandate.claims();
    for (name, value) in [
        ("sid", Some(&known.sid)),
        ("root_sid", known.root_sid.as_ref()),
        ("agent_session_id", known.agent_session_id.as_ref()),
        ("delegation_edge_id", known.delegation_edge_id.as_ref()),
    ] {
        assert_eq!(value.map(|id| &**id), example[name].as_str(), "{name}");
    }
    assert_eq!(Some(known.delegation_graph_epoch), example["delegation_graph_epoch"].as_u64());
    assert_eq!(known.delegation_chain.len(), 2);
    assert_eq!(known.delegation_path.len(), 1);
}
