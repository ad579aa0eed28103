//! The manifest of this resource verifier, compared with its schema and the code.

use std::path::Path;

use caracal_test_support::foreign::caracal_file;
use serde_json::{Value, json};

const MANIFEST: &str = include_str!("../../caracal-resource-verifier.json");
const SCHEMA: &str = "caracal-resource-verifier-manifest-2026-05-21.schema.json";

fn manifest() -> Value {
    serde_json::from_str(MANIFEST).expect("JSON")
}

#[test]
fn manifest_is_valid_by_its_schema() {
    let Some(schema) = caracal_file(SCHEMA) else { return };
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> =
        validator.iter_errors(&manifest()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    // Check that the schema rejects wrong values.
    for (name, value) in [("languages", json!(["cobol"])), ("schema_version", json!("1"))] {
        let mut other = manifest();
        other[name] = value;
        assert!(!validator.is_valid(&other), "{name}");
    }
}

#[test]
fn manifest_names_rust_this_version_and_four_anchors() {
    let manifest = manifest();
    assert_eq!(manifest["languages"], json!(["rust"]));
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    let anchors = ["sid", "root_sid", "agent_session_id", "delegation_edge_id"];
    assert_eq!(manifest["revocation"]["anchors"], json!(anchors));
}

#[test]
fn every_conformance_fixture_of_the_manifest_exists() {
    let manifest = manifest();
    let fixtures = manifest["conformance"]["fixtures"].as_array().expect("a list");
    assert!(!fixtures.is_empty());
    for fixture in fixtures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture.as_str().expect("a path"));
        assert!(path.is_file(), "{fixture}");
    }
}
