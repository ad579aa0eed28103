//! `publish`: every consumer accepts the published messages.

use serde_json::{Value, json};

use crate::program::{at, client};
use crate::redis_server::RedisServer;

/// Publishes, and returns the effects that a follower applies.
fn effects(server: &RedisServer, args: &str) -> Vec<(String, Value)> {
    let published = at(server).run(&format!("publish --yes --json {args}")).with_code(0).json();
    let watched = at(server).run("watch --from 0 --until-idle --json").with_code(0).json();
    let effect = |published: &Value| {
        let same = |output: &&Value| {
            output["stream"] == published["stream"] && output["id"] == published["id"]
        };
        let output = watched.iter().find(same).expect("the message is in its stream");
        assert_eq!((&output["outcome"], &output["key"]), (&json!("applied"), &json!("current")));
        (published["stream"].as_str().unwrap().to_owned(), output["effect"].clone())
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
        let args = format!("delegation --zone z-1 --event {event} --edge de-1 --epoch {epoch}");
        let expected = [on("delegations.invalidate", json!({"epoch": ["z-1", epoch]}))];
        assert_eq!(effects(&server, &args), expected);
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
    at(&server).input("y\n").run("publish keys --zone z-1").with_code(2).prints(&["--yes"]);
    assert_eq!(client(&server).number("EXISTS caracal.keys.invalidate"), 0);
}

#[test]
fn rejects_unusable_messages_before_writing() {
    let server = RedisServer::start();
    at(&server).run("publish --yes revoke --zone z-1").with_code(2).prints(&["--session"]);
    for id in ["null", "a\nzone_id=z-2", ""] {
        let args = ["publish", "--yes", "revoke", "--zone", "z-1", "--session", id];
        at(&server).run_with(&args).with_code(2).prints(&["--session"]);
    }
    let args = "publish --yes delegation --zone z --event revoke --edge e --epoch";
    at(&server).run(&format!("{args} 9223372036854775808")).with_code(2);
    assert_eq!(client(&server).number("DBSIZE"), 0);
}
