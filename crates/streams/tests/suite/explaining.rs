//! `explain`: the verdict and the message behind it, without the token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::program::{OTHER_KEY, at, client};
use crate::redis_server::RedisServer;

fn publish(server: &RedisServer, args: &str) -> Vec<Value> {
    at(server).run(&format!("publish --yes --json {args}")).with_code(0).json()
}

fn token(claims: &Value) -> String {
    format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn names_the_denying_message_and_hides_the_token() {
    let server = RedisServer::start();
    let first = publish(&server, "revoke --zone z-1 --session ar-1 --reason compromised");
    publish(&server, "revoke --zone z-1 --session ar-1 --reason again");
    publish(&server, "revoke --zone z-1 --session another");
    let token = token(&json!({
        "sid": "ar-1", "iat": 1_795_400_000, "exp": 1_795_403_600, "zone_id": "z-1"
    }));
    let run = |args| at(&server).input(&format!("Bearer {token}\n")).run(args).with_code(1);
    let output = run("explain --json");
    assert!(!output.out.contains(&token) && !output.out.contains("c2lnbmF0dXJl"));
    let output = output.object();
    assert_eq!(
        (&output["verdict"], &output["reason"], &output["anchor"]),
        (&json!("denied"), &json!("revoked"), &json!("sid"))
    );
    assert_eq!(output["message"]["id"], first[0]["id"]);
    assert_eq!(output["message"]["stream"], "caracal.sessions.revoke");
    assert_eq!(output["messages"].as_array().unwrap().len(), 2);
    run("explain").prints(&["denied: revoked, by its sid", "compromised", "also", "T"]);
    at(&server).run("explain --sid elsewhere").with_code(0).prints(&["admitted"]);
}

#[test]
fn explains_tokens_that_time_or_their_lifetime_denies() {
    let server = RedisServer::start();
    publish(&server, "revoke --zone z-1 --session another");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let explain = |iat: i64, exp: i64, args: &str, code| {
        let token = token(&json!({"sid": "ar-1", "iat": iat, "exp": exp}));
        at(&server).input(&token).run(args).with_code(code)
    };
    explain(now, now + 900, "explain", 0).prints(&["admitted"]);
    explain(now - 900, now - 90, "explain", 1).prints(&["denied: expired", "time is over"]);
    let output = explain(now - 900, now - 90, "explain --json", 1).object();
    assert_eq!((&output["reason"], &output["is_expired"]), (&json!("expired"), &json!(true)));
    let week = now + 7 * 86_400;
    explain(now, week, "explain", 1).prints(&["denied: lifetime_too_long", "60 minutes"]);
    explain(now + 900, now + 1_800, "explain", 1).prints(&["denied: not_yet_valid", "clocks"]);
}

#[test]
fn explains_suspensions_epochs_and_chains() {
    let server = RedisServer::start();
    let explain = |args: &str, code| {
        at(&server).run(&format!("explain --json {args}")).with_code(code).object()
    };
    let suspended = publish(&server, "suspend --zone z-1 --agent-session gs-1");
    let output = explain("--agent-session gs-1", 1);
    assert_eq!(
        (&output["reason"], &output["anchor"]),
        (&json!("suspended"), &json!("agent_session"))
    );
    assert_eq!(output["message"]["id"], suspended[1]["id"]);
    let output = explain("--sid a --chain-session gs-1", 1);
    assert_eq!(output["anchor"], "chain_session");
    publish(&server, "resume --zone z-1 --agent-session gs-1");
    assert_eq!(explain("--agent-session gs-1 --iat 1", 1)["reason"], "suspended");
    let output = explain("--agent-session gs-1 --iat 9999999999", 0);
    assert_eq!(output["messages"].as_array().unwrap().len(), 3, "{output}");

    let moved = publish(&server, "delegation --zone z-1 --event create --edge de-1 --epoch 42");
    let output = explain("--sid a --zone z-1 --epoch 41", 1);
    assert_eq!(output["reason"], "delegation_stale");
    assert_eq!(output["only_where_epochs_are_checked"], json!(true));
    assert_eq!(output["message"]["id"], moved[0]["id"]);
    explain("--sid a --zone z-1 --epoch 42", 0);
    let ended = publish(&server, "delegation --zone z-1 --event revoke --edge de-1 --epoch 43");
    let output = explain("--sid a --delegation de-1", 1);
    assert_eq!((&output["reason"], &output["message"]["id"]), (&json!("revoked"), &ended[0]["id"]));
}

#[test]
fn reports_unknown_without_enough_history() {
    let server = RedisServer::start();
    publish(&server, "keys --zone z-1");
    let other = at(&server).env("STREAMS_HMAC_KEY", OTHER_KEY);
    other.run("explain --sid a").with_code(2).prints(&["unknown", "STREAMS_HMAC_KEY"]);
    // Entries of the last day were trimmed: their content is unknown.
    publish(&server, "revoke --zone z-1 --session a");
    publish(&server, "revoke --zone z-1 --session b");
    client(&server).run("XTRIM caracal.sessions.revoke MAXLEN = 1");
    let output = at(&server).run("explain --sid a --iat 1000 --json").with_code(1).object();
    assert_eq!(output["reason"], "history_incomplete");
    assert!(output["horizon"].is_i64());
    at(&server).input("no token").run("explain").with_code(2).prints(&["standard input"]);
}

#[test]
fn strict_mode_denies_tokens_from_before_the_start() {
    let server = RedisServer::start();
    publish(&server, "revoke --zone z-1 --session ar-1");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let token = token(&json!({"sid": "ar-2", "iat": now - 60, "exp": now + 900}));
    let explain = |strict: &str, args: &str| {
        at(&server).env("REVOCATION_STRICT", strict).input(&token).run(args)
    };
    explain("false", "explain").with_code(0).prints(&["admitted"]);
    explain("true", "explain").with_code(1).prints(&["history_incomplete", "REVOCATION_STRICT"]);
    assert!(explain("true", "explain --json").with_code(1).object()["horizon"].is_i64());
    // A known revocation decides first.
    let known = at(&server).env("REVOCATION_STRICT", "true");
    known.run("explain --sid ar-1 --iat 1").with_code(1).prints(&["denied: revoked"]);
}

#[test]
fn names_each_claim_of_a_message_once() {
    let server = RedisServer::start();
    publish(&server, "revoke --zone z-1 --agent-session gs-1 --delegation de-1");
    let token = token(&json!({
        "sid": "ar-1", "iat": 1_795_400_000, "exp": 1_795_403_600, "zone_id": "z-1",
        "delegation_chain": [
            {"application_id": "a", "agent_session_id": "gs-1", "delegation_edge_id": "de-1"},
            {"application_id": "b", "agent_session_id": "gs-1", "delegation_edge_id": "de-1"}
        ]
    }));
    let output = at(&server).input(&token).run("explain --json").with_code(1).object();
    assert_eq!(output["messages"][0]["anchors"], json!(["chain_session", "chain_delegation"]));
}
