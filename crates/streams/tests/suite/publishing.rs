//! `publish`: every consumer accepts the published messages.

use serde_json::{Value, json};

use crate::program::{at, hand};
use crate::redis_server::RedisServer;

/// Publishes, and returns the effects that a follower applies.
fn effects(server: &RedisServer, words: &str) -> Vec<(String, Value)> {
    let published = at(server).run(&format!("publish --yes --json {words}")).with_code(0).json();
    let watched = at(server).run("watch --from 0 --until-idle --json").with_code(0).json();
    let effect = |published: &Value| {
        let same =
            |told: &&Value| told["stream"] == published["stream"] && told["id"] == published["id"];
        let told = watched.iter().find(same).expect("the message is in its stream");
        assert_eq!((&told["outcome"], &told["key"]), (&json!("applied"), &json!("current")));
        (published["stream"].as_str().unwrap().to_owned(), told["effect"].clone())
    };
    published.iter().map(effect).collect()
}

#[test]
fn every_message_has_the_requested_effect() {
    let server = RedisServer::start();
    let on = |stream: &str, effect: Value| (format!("caracal.{stream}"), effect);
    assert_eq!(
        effects(&server, "revoke --zone z-1 --session a --root b --agent-session c --delegation d"),
        [on("sessions.revoke", json!({"revoke": ["a", "b", "d", "c"]}))]
    );
    assert_eq!(
        effects(&server, "keys --zone z-1"),
        [on("keys.invalidate", json!({"forget_keys": "z-1"}))]
    );
    for policy in ["policy --zone z-1", "policy --zone z-1 --policy-set s --version v"] {
        let expected = [on("policy.invalidate", json!({"reload_policy": "z-1"}))];
        assert_eq!(effects(&server, policy), expected);
    }
    for (event, epoch) in [("create", 41), ("revoke", 42), ("expire", 43)] {
        let words = format!("delegation --zone z-1 --event {event} --edge de-1 --epoch {epoch}");
        let expected = [on("delegations.invalidate", json!({"epoch": ["z-1", epoch]}))];
        assert_eq!(effects(&server, &words), expected);
    }
    let at = "2026-11-20T10:00:00.123Z";
    let session = format!("--zone z-1 --agent-session gs-1 --at {at}");
    assert_eq!(
        effects(&server, &format!("suspend {session}")),
        [
            on("agents.lifecycle", json!({"suspend": ["gs-1", at]})),
            on("sessions.revoke", json!({"suspend": ["gs-1", at]}))
        ]
    );
    assert_eq!(
        effects(&server, &format!("resume {session}")),
        [on("agents.lifecycle", json!({"resume": ["gs-1", at]}))]
    );
}

#[test]
fn writes_nothing_without_confirmation() {
    let server = RedisServer::start();
    at(&server).input("y\n").run("publish keys --zone z-1").with_code(2).says(&["--yes"]);
    assert_eq!(hand(&server).number("EXISTS caracal.keys.invalidate"), 0);
}

#[test]
fn rejects_unusable_messages_before_writing() {
    let server = RedisServer::start();
    at(&server).run("publish --yes revoke --zone z-1").with_code(2).says(&["--session"]);
    for id in ["null", "a\nzone_id=z-2", ""] {
        let words = ["publish", "--yes", "revoke", "--zone", "z-1", "--session", id];
        at(&server).run_with(&words).with_code(2).says(&["--session"]);
    }
    let words = "publish --yes delegation --zone z --event revoke --edge e --epoch";
    at(&server).run(&format!("{words} 9223372036854775808")).with_code(2);
    assert_eq!(hand(&server).number("DBSIZE"), 0);
}
