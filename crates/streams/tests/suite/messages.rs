//! `sign`, `check` and `watch --json` on every test vector of the contract.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::program::{KEY, OTHER_KEY, at, client, program};
use crate::redis_server::RedisServer;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Value>,
}

fn cases() -> Vec<Value> {
    let text = include_str!("../../../../tests/vectors/events.json");
    let cases = serde_json::from_str::<Vectors>(text).unwrap().cases;
    assert_eq!(cases.len(), 70);
    assert!(cases.iter().all(|case| case["key_hex"] == KEY));
    cases
}

/// Compares the program's JSON with a test vector; lists in an effect are sets.
#[track_caller]
fn assert_outcome(case: &Value, output: &Value) {
    let name = &case["name"];
    let expected = case["expect"].as_str().unwrap();
    if expected == "accept" {
        assert_eq!(output["outcome"], "applied", "{name}: {output}");
        assert_eq!(output["reason"], Value::Null, "{name}");
        assert_eq!(sorted(&output["effect"]), sorted(&case["effect"]), "{name}");
        let dead = case.get("dead_letter").unwrap_or(&json!(false)).clone();
        assert_eq!(output["dead_letter"], dead, "{name}");
    } else {
        assert_eq!(output["outcome"], "rejected", "{name}: {output}");
        let reason = output["reason"].as_str().unwrap();
        assert_eq!(format!("reject_{reason}"), expected, "{name}");
        assert_eq!(output["effect"], Value::Null, "{name}");
    }
    assert_eq!(output["stream"], case["stream"], "{name}");
}

fn sorted(effect: &Value) -> Value {
    let mut effect = effect.clone();
    if let Some(revoked) = effect.get_mut("revoke").and_then(Value::as_array_mut) {
        revoked.sort_by_key(Value::to_string);
    }
    effect
}

#[test]
fn check_matches_every_test_vector() {
    for case in cases() {
        let checked = program()
            .env("STREAMS_HMAC_KEY", KEY)
            .input(&case.to_string())
            .run("check --json")
            .with_code(if case["expect"] == "accept" { 0 } else { 1 });
        assert_outcome(&case, &checked.object());
    }
}

#[test]
fn watch_matches_every_test_vector() {
    let server = RedisServer::start();
    let mut client = client(&server);
    let cases = cases();
    for (number, case) in cases.iter().enumerate() {
        let mut add = redis::cmd("XADD");
        add.arg(case["stream"].as_str().unwrap()).arg(format!("{}-0", number + 1));
        for (name, value) in fields(case) {
            add.arg(name).arg(value);
        }
        client.query(&add);
    }
    let watched = at(&server).run("watch --json --from 0 --until-idle").with_code(0).json();
    assert_eq!(watched.len(), cases.len());
    for output in watched {
        let id = output["id"].as_str().unwrap();
        let number: usize = id.strip_suffix("-0").unwrap().parse().unwrap();
        assert_outcome(&cases[number - 1], &output);
    }
}

fn fields(case: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = |name: &str, bytes: fn(&str) -> Vec<u8>| {
        let list = case.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let pair =
            move |pair: Value| (bytes(pair[0].as_str().unwrap()), bytes(pair[1].as_str().unwrap()));
        list.into_iter().map(pair).collect::<Vec<_>>()
    };
    let unhex = |text: &str| {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let mut all = pairs("fields", |text| text.as_bytes().to_vec());
    all.extend(pairs("fields_hex", unhex));
    all
}

#[test]
fn signed_message_is_accepted_with_the_same_key() {
    let message = r#"{"stream":"caracal.sessions.revoke","fields":{"zone_id":"z","sid":"ar-1"}}"#;
    let signed = program().env("STREAMS_HMAC_KEY", KEY).input(message).run("sign").with_code(0);
    let check = |key| program().env("STREAMS_HMAC_KEY", key).input(&signed.out).run("check");
    check(KEY).with_code(0).prints(&["applied", "revoke ar-1"]);
    check(OTHER_KEY).with_code(1).prints(&["rejected", "signature"]);
    let previous = program()
        .env("STREAMS_HMAC_KEY", OTHER_KEY)
        .env("STREAMS_HMAC_KEY_PREVIOUS", KEY)
        .input(&signed.out)
        .run("check --json");
    assert_eq!(previous.with_code(0).object()["key"], "previous");
    assert!(!signed.out.contains(KEY));
}

#[test]
fn rejects_ambiguous_message_to_sign() {
    let twice = r#"{"stream":"caracal.keys.invalidate","fields":[["a","1"],["a","2"]]}"#;
    let sign = |message| program().env("STREAMS_HMAC_KEY", KEY).input(message).run("sign");
    sign(twice).with_code(2).prints(&["ambiguous"]);
    sign("{").with_code(2).prints(&["standard input"]);
    program()
        .env("CARACAL_MODE", "dev")
        .input(twice)
        .run("sign")
        .with_code(2)
        .prints(&["STREAMS_HMAC_KEY"]);
}
