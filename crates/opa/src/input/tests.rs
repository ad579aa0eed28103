use caracal_test_support::foreign::caracal_file;

use super::*;

/// Returns the schema, or `None` where Caracal's files are missing.
fn schema() -> Option<jsonschema::Validator> {
    let text = caracal_file("caracal-policy-input-2026-05-20.schema.json")?;
    Some(jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap())
}

fn full() -> Value {
    json!({
        "schema_version": "2026-05-20",
        "principal": {
            "type": "application", "id": "app-1", "zone_id": "z-1",
            "registration_method": "dcr", "agent_session_id": "gs-1", "lifecycle": "task",
            "labels": ["prod"], "more": 1,
        },
        "resource": {
            "type": "api", "id": "r-1", "identifier": "https://api.example", "scopes": ["read"],
        },
        "action": { "id": "invoke", "method": "GET", "path": "/" },
        "session": { "id": "ar-1" },
        "delegation_edge": {
            "id": "de-1", "source_session_id": "gs-0", "target_session_id": "gs-1",
            "issuer_application_id": "app-0", "receiver_application_id": "app-1",
            "resource_id": "r-1", "scopes": ["read"], "edge_version": 1, "path": ["de-0"],
            "graph_epoch": 7, "constraints_json": null,
        },
        "context": {
            "actor_claims": { "sid": "ar-1" }, "subject_claims": {}, "trace_id": "t",
            "session_id": "ar-1", "agent_session_id": "gs-1", "delegation_edge_id": "de-1",
            "challenge_resolved": false, "requested_scopes": ["read"],
        },
        "more": true,
    })
}

fn least() -> PolicyInput {
    PolicyInput::new(
        &Principal::new("application", "app-1", "z-1").with("labels", vec!["prod"]),
        &Resource::new("api", "r-1", "https://api.example").with_scope("read"),
        "invoke",
    )
    .unwrap()
}

fn most() -> PolicyInput {
    least()
        .with_request("GET", "/files/a")
        .with_route("/files/{name}")
        .with_session("ar-1")
        .with_delegation("de-1")
        .with_actor_claim("sid", "ar-1")
}

#[test]
fn built_inputs_match_the_schema() {
    let Some(schema) = schema() else { return };
    assert!(schema.is_valid(least().as_value()));
    assert!(schema.is_valid(most().as_value()));
}

#[test]
fn built_input_names_the_session_and_the_segments() {
    let input = most();
    assert_eq!(input.as_value()["session"]["id"], "ar-1");
    assert_eq!(input.as_value()["action"]["segments"], json!(["files", "a"]));
}

#[test]
fn leaves_unknown_members_out() {
    let principal = Principal::new("application", "app-1", "z-1");
    let input = PolicyInput::new(&principal, &Resource::new("api", "r-1", "r"), "x").unwrap();
    let input = input
        .with_route("")
        .with_application("")
        .with_agent_session("")
        .with_session("")
        .with_delegation("");
    assert_eq!(
        *input.as_value(),
        json!({
            "schema_version": SCHEMA_VERSION,
            "principal": { "type": "application", "id": "app-1", "zone_id": "z-1" },
            "resource": { "type": "api", "id": "r-1", "identifier": "r", "scopes": [] },
            "action": { "id": "x" },
            "context": {
                "actor_claims": {}, "challenge_resolved": false, "requested_scopes": [],
            },
        })
    );
}

/// Compares with Caracal's example of an input, without the members that only the STS knows.
#[test]
fn built_input_equals_the_input_of_the_sts() {
    let Some(text) = caracal_file("policy-input.sts.valid.json") else { return };
    let vector: Value = serde_json::from_str(&text).unwrap();
    assert!(schema().unwrap().is_valid(&vector));
    let mut expected = PolicyInput::from_value(vector).unwrap();
    for (object, name) in [("/principal", "registration_method"), ("/principal", "lifecycle")] {
        expected.0.pointer_mut(object).and_then(Value::as_object_mut).unwrap().remove(name);
    }
    expected.0.pointer_mut("/context").and_then(Value::as_object_mut).unwrap().remove("trace_id");
    expected.0["delegation_edge"] = json!({ "id": "delegation-1" });
    let principal = Principal::new("authority_record", "authority-record-1", "zone-1");
    let resource = Resource::new("http", "resource-1", "resource://api").with_scope("read");
    let mut input = PolicyInput::new(&principal, &resource, "read")
        .unwrap()
        .with_application("app-1")
        .with_labels(["files.read"])
        .with_agent_session("session-child")
        .with_session("authority-record-1")
        .with_delegation("delegation-1")
        .with_actor_claim("caracal_client_id", "app-1")
        .with_subject_claim("sub", "user-1");
    // The resource has more scopes than are requested.
    input.0["resource"]["scopes"] = json!(["read", "write"]);
    assert_eq!(input, expected);
}

#[test]
fn segments_leave_out_a_trailing_slash() {
    let principal = Principal::new("application", "app-1", "z-1");
    let input = PolicyInput::new(&principal, &Resource::new("api", "r-1", "r"), "x").unwrap();
    for (path, segments) in [
        ("/files/a", json!(["files", "a"])),
        ("/files/a/", json!(["files", "a"])),
        ("/files//a", json!(["files", "", "a"])),
        ("/", json!([])),
        ("", json!([])),
        ("*", json!([])),
    ] {
        let input = input.clone().with_request("GET", path);
        assert_eq!(input.as_value()["action"]["segments"], segments, "{path}");
        assert_eq!(input.as_value()["action"]["path"], path);
    }
}

#[test]
fn accepts_exactly_the_inputs_that_the_schema_accepts() {
    let Some(schema) = schema() else { return };
    let mut cases = vec![full()];
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-7),
        json!(1.5),
        json!(""),
        json!("x"),
        json!([]),
        json!(["x"]),
        json!(["x", "x"]),
        json!([""]),
        json!([7]),
        json!({}),
        json!({ "id": "" }),
        json!({ "id": "x" }),
    ];
    let mut at = Vec::new();
    pointers("", &full(), &mut at);
    for pointer in at {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut without = full();
        if let Some(members) = without.pointer_mut(parent).and_then(Value::as_object_mut) {
            members.remove(name);
            cases.push(without);
        }
        for value in &values {
            let mut case = full();
            *case.pointer_mut(&pointer).unwrap() = value.clone();
            cases.push(case);
        }
    }
    assert!(cases.len() > 500);
    for case in cases {
        let taken = PolicyInput::from_value(case.clone());
        assert_eq!(taken.is_ok(), schema.is_valid(&case), "{taken:?} {case}");
    }
}

fn pointers(prefix: &str, value: &Value, all: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, v)| (name.clone(), v)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let pointer = format!("{prefix}/{name}");
        pointers(&pointer, child, all);
        all.push(pointer);
    }
}
