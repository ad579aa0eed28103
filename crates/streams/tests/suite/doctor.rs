//! `doctor` on servers in every broken state.

use caracal_revocation_stream::acl;
use serde_json::{Value, json};

use crate::program::{OTHER_KEY, RedisClient, at, client, program};
use crate::redis_server::RedisServer;

/// Starts a server without a fault.
fn healthy() -> RedisServer {
    let server = RedisServer::start();
    at(&server).run("provision").with_code(0);
    server
}

fn diagnosis(server: &RedisServer, code: i32) -> Value {
    at(server).run("doctor --json --may-publish").with_code(code).object()
}

/// Returns the finding of this check about this subject.
#[track_caller]
fn finding(diagnosis: &Value, check: &str, subject: &str) -> Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    let about = |finding: &&Value| {
        finding["check"] == check
            && (subject.is_empty() || finding["subject"].as_str() == Some(subject))
    };
    findings.iter().find(about).unwrap_or_else(|| panic!("no {check}: {diagnosis}")).clone()
}

#[track_caller]
fn assert_finding(diagnosis: &Value, check: &str, subject: &str, level: &str, text: &str) {
    let finding = finding(diagnosis, check, subject);
    assert_eq!(finding["level"], level, "{finding}");
    assert!(finding["seen"].as_str().unwrap().contains(text), "{finding}");
    if level != "fine" {
        assert!(finding["why"].is_string() && finding["next"].is_string(), "{finding}");
    }
}

fn symptom(diagnosis: &Value, name: &str) -> Value {
    let symptoms = diagnosis["symptoms"].as_array().unwrap();
    symptoms.iter().find(|symptom| symptom["symptom"] == name).expect("the symptom").clone()
}

/// Adds an entry whose id is this many seconds old.
fn add_old(client: &mut RedisClient, stream: &str, seconds: i64) -> String {
    let redis::Value::Array(time) = client.run("TIME") else { panic!("no time") };
    let redis::Value::BulkString(now) = &time[0] else { panic!("no seconds") };
    let now: i64 = std::str::from_utf8(now).unwrap().parse().unwrap();
    let id = format!("{}-0", (now - seconds) * 1_000);
    client.run(&format!("XADD {stream} {id} note old"));
    id
}

#[test]
fn healthy_server_is_fine_and_names_all_four_symptoms() {
    let server = healthy();
    let diagnosis = diagnosis(&server, 0);
    assert_eq!(diagnosis["level"], "fine");
    for check in ["connection", "memory", "clock", "rights", "length", "group", "signatures"] {
        assert_finding(&diagnosis, check, "", "fine", "");
    }
    let symptoms = diagnosis["symptoms"].as_array().unwrap();
    assert_eq!(symptoms.len(), 4);
    assert!(symptoms.iter().all(|symptom| symptom["seen"] == json!(false)), "{diagnosis}");
    at(&server).run("doctor --may-publish --verbose").with_code(0).prints(&[
        "all is fine",
        "maxmemory-policy: noeviction",
        "the audit dead-letter stream grows (not seen)",
        "policy changes don't take effect",
        "revocation is delayed",
        "the provisioner warns about length",
    ]);
}

#[test]
fn healthy_server_takes_five_lines() {
    let server = healthy();
    let brief = at(&server).run("doctor --may-publish").with_code(0).out;
    assert_eq!(brief.lines().count(), 5, "{brief}");
    assert!(brief.lines().take(4).all(|line| line.starts_with("fine ")), "{brief}");
    client(&server).run("CONFIG SET maxmemory-policy allkeys-lru");
    let brief = at(&server).run("doctor --may-publish").with_code(1);
    brief.prints(&["WARNING", "maxmemory-policy: allkeys-lru", "fine     streams"]);
}

#[test]
fn missing_stream_or_group_and_wrong_type_are_broken() {
    let server = healthy();
    let mut client = client(&server);
    client.run("DEL caracal.sessions.revoke");
    client.run("XGROUP DESTROY caracal.keys.invalidate sts-keys");
    client.run("DEL caracal.audit.events");
    client.run("SET caracal.audit.events x");
    let diagnosis = diagnosis(&server, 2);
    assert_finding(&diagnosis, "stream", "caracal.sessions.revoke", "broken", "missing");
    assert_finding(&diagnosis, "stream", "caracal.audit.events", "broken", "no stream");
    assert_finding(&diagnosis, "group", "caracal.keys.invalidate", "broken", "sts-keys");
}

#[test]
fn reports_settings_that_lose_messages() {
    let server =
        RedisServer::start_with(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    at(&server).run("provision").with_code(0);
    let output = diagnosis(&server, 1);
    assert_finding(&output, "persistence", "maxmemory-policy", "warning", "allkeys-lru");
    assert_finding(&output, "persistence", "appendonly", "warning", "no");
    at(&server).run("doctor").with_code(1).prints(&["throw away whole streams", "noeviction"]);
    // With a memory limit, eviction can begin at any moment.
    client(&server).run("CONFIG SET maxmemory 1gb");
    let output = diagnosis(&server, 2);
    assert_finding(&output, "persistence", "maxmemory-policy", "broken", "allkeys-lru");
    assert_finding(&output, "memory", "", "fine", "% of maxmemory");
    client(&server).run("CONFIG SET maxmemory-policy noeviction");
    client(&server).run("CONFIG SET appendfsync no");
    let output = diagnosis(&server, 1);
    assert_finding(&output, "persistence", "maxmemory-policy", "fine", "noeviction");
    assert_finding(&output, "persistence", "appendfsync", "warning", "no");
}

#[test]
fn names_missing_rights_of_a_consumer() {
    let server = healthy();
    let mut client = client(&server);
    let user = "ACL SETUSER reader on >pw resetkeys -@all +info +time +xinfo +ping %R~caracal.*";
    client.run(user);
    let url = server.url().replace("redis://", "redis://reader:pw@");
    let doctor = || at(&server).env("REDIS_URL", &url).run("doctor --json");
    let output = doctor().with_code(2).object();
    assert_finding(&output, "rights", "follow", "broken", "+xread on caracal.sessions.revoke");
    let next = finding(&output, "rights", "follow")["next"].as_str().unwrap().to_owned();
    assert_eq!(next, format!("ACL SETUSER <user> {}", acl::FOLLOW));
    // The rights that the guide documents for a follower, and no others.
    client.run("ACL SETUSER reader +xread");
    let output = doctor().with_code(1).object();
    assert_finding(&output, "rights", "follow", "fine", "");
    assert_finding(&output, "rights", "dead_letter", "warning", "+xadd");
    assert_finding(&output, "rights", "publish", "fine", "may not publish");
    assert_finding(&output, "persistence", "maxmemory-policy", "fine", "noeviction");
    assert_finding(&output, "persistence", "appendfsync", "fine", "not allowed");
    client.run(&format!("ACL SETUSER reader {}", acl::DEAD_LETTERS));
    let output = doctor().object();
    assert_finding(&output, "rights", "dead_letter", "fine", "");
    // The check changes nothing.
    assert_eq!(
        client.number("EXISTS {caracal.sessions.revoke.dead}:mark caracal.sessions.revoke.dead"),
        0
    );
    assert_eq!(client.number("XLEN caracal.sessions.revoke"), 0);
}

#[test]
fn reports_pending_and_unread_entries_with_their_age() {
    let server = healthy();
    let mut client = client(&server);
    // A signed message shows that the key is right.
    at(&server).run("publish --yes keys --zone z-1").with_code(0);
    let old = add_old(&mut client, "caracal.policy.invalidate", 3_600);
    client.run("XREADGROUP GROUP opa-engine gone COUNT 1 STREAMS caracal.policy.invalidate >");
    client.run(&format!("XCLAIM caracal.policy.invalidate opa-engine gone 0 {old} IDLE 900000"));
    add_old(&mut client, "caracal.policy.invalidate", 1_800);
    let output = diagnosis(&server, 1);
    let group = "caracal.policy.invalidate opa-engine";
    assert_finding(&output, "pending", group, "warning", &format!("{old}, idle for 15 min"));
    assert_finding(&output, "lag", group, "warning", "1 unread, the oldest for 30 min");
    assert_eq!(symptom(&output, "policy_without_effect")["seen"], json!(true));
    assert_eq!(symptom(&output, "audit_dead_letters_grow")["seen"], json!(false));
}

#[test]
fn counts_lag_and_reports_entries_trimmed_unread() {
    let server = healthy();
    let mut client = client(&server);
    // A signed message shows that the key is right.
    at(&server).run("publish --yes policy --zone z-1").with_code(0);
    for number in 1..=10 {
        client.run(&format!("XADD caracal.keys.invalidate {number}-0 zone_id z"));
    }
    client.run("XREADGROUP GROUP sts-keys one COUNT 2 NOACK STREAMS caracal.keys.invalidate >");
    client.run("XDEL caracal.keys.invalidate 8-0");
    let output = diagnosis(&server, 1);
    // Redis reports no lag here, since an entry was deleted.
    assert_finding(&output, "lag", "caracal.keys.invalidate sts-keys", "warning", "7 unread");
    client.run("XTRIM caracal.keys.invalidate MAXLEN = 2");
    let output = diagnosis(&server, 1);
    assert_finding(&output, "lag", "caracal.keys.invalidate sts-keys", "warning", "2 unread");
    client.run("DEL caracal.agents.lifecycle");
    client.run("XADD caracal.agents.lifecycle 1-0 event spawn");
    client.run("XGROUP CREATE caracal.agents.lifecycle coordinator-relay 0");
    for number in 2..=10 {
        client.run(&format!("XADD caracal.agents.lifecycle {number}-0 event spawn"));
    }
    client.run(
        "XREADGROUP GROUP coordinator-relay one COUNT 2 NOACK STREAMS caracal.agents.lifecycle >",
    );
    client.run("XTRIM caracal.agents.lifecycle MAXLEN = 3");
    let output = diagnosis(&server, 1);
    let group = "caracal.agents.lifecycle coordinator-relay";
    assert_finding(&output, "lost", group, "warning", "5 entries were trimmed");
}

#[test]
fn stream_over_its_length_is_a_symptom() {
    let server = healthy();
    let fill =
        "for i = 1, 10001 do redis.call('XADD', 'caracal.keys.invalidate', '*', 'a', 'b') end";
    client(&server).run_with(&["EVAL", fill, "0"]);
    let output = diagnosis(&server, 2);
    assert_finding(&output, "length", "caracal.keys.invalidate", "warning", "10001 entries");
    let output = symptom(&output, "provisioner_warns_of_length");
    assert_eq!(output["seen"], json!(true));
    // No consumer has read any entry: the ids prove that without a count.
    assert!(output["evidence"].to_string().contains(" 10001 unread"), "{output}");
}

#[test]
fn wrong_key_is_broken_and_one_bad_message_a_warning() {
    let server = healthy();
    at(&server).run("publish --yes keys --zone z-1").with_code(0);
    let other = at(&server).env("STREAMS_HMAC_KEY", OTHER_KEY).run("doctor --json --may-publish");
    let output = other.with_code(2).object();
    assert_finding(&output, "follower", "STREAMS_HMAC_KEY", "broken", "none is signed");
    let rotating = at(&server)
        .env("STREAMS_HMAC_KEY", OTHER_KEY)
        .env("STREAMS_HMAC_KEY_PREVIOUS", crate::program::KEY);
    let output = rotating.run("doctor --json --may-publish").with_code(0).object();
    assert_finding(&output, "signatures", "", "fine", "previous key 1");
    assert_finding(&output, "signatures", "STREAMS_HMAC_KEY_PREVIOUS", "fine", "still in use");
    let mut client = client(&server);
    client.run("XADD caracal.policy.invalidate * zone_id z-1");
    let output = diagnosis(&server, 1);
    assert_finding(&output, "refused", "caracal.policy.invalidate", "warning", "1 rejected");
    assert_eq!(symptom(&output, "policy_without_effect")["seen"], json!(true));
    let no_key = program().env("REDIS_URL", &server.url()).run("doctor --json");
    let output = no_key.with_code(2).object();
    assert_finding(&output, "follower", "", "broken", "STREAMS_HMAC_KEY");
    assert_finding(&output, "connection", "", "fine", "Redis 7");
}

#[test]
fn counts_dead_letters_by_cause_in_both_formats() {
    let server = healthy();
    let mut client = client(&server);
    let dead = "caracal.sessions.revoke.dead";
    for cause in ["signature:", "malformed:", "malformed:"] {
        let args = ["XADD", dead, "*", "original_id", "7-0", "error", cause, "values", "{}"];
        client.run_with(&args);
    }
    client.run(&format!("XADD {dead} * source_id 7-0 reason ambiguous payload {{}}"));
    let output = diagnosis(&server, 1);
    let causes = "4 dead letters; from the last day: ambiguous 1, malformed 2, signature 1";
    assert_finding(&output, "dead_letters", dead, "warning", causes);
}

#[test]
fn late_decision_is_a_symptom() {
    let server = healthy();
    let message = r#"{"stream":"caracal.sessions.revoke","fields":
        {"zone_id":"z","sid":"a","outbox_id":"0198b0c2-7d10-7a11-8f00-000000000001"}}"#;
    let signed = at(&server).input(message).run("sign").with_code(0).object();
    let mut add = redis::cmd("XADD");
    add.arg("caracal.sessions.revoke").arg("*");
    for field in signed["fields"].as_array().unwrap() {
        add.arg(field[0].as_str().unwrap()).arg(field[1].as_str().unwrap());
    }
    client(&server).query(&add);
    let output = diagnosis(&server, 0);
    let output = symptom(&output, "revocation_delayed");
    assert_eq!(output["seen"], json!(true), "{output}");
    assert!(output["evidence"].to_string().contains("from the decision to Redis"), "{output}");
}

#[test]
fn unreachable_server_is_broken_with_advice() {
    let mut server = RedisServer::start_with(&["--requirepass", "right"]);
    let output = at(&server).run("doctor --json").with_code(2).object();
    assert_finding(&output, "connection", "", "broken", "");
    let next = output["findings"][0]["next"].as_str().unwrap();
    assert!(next.contains("REDIS_PASSWORD"), "{next}");
    let wrong = at(&server).env("REDIS_PASSWORD", "wrong").run("doctor").with_code(2);
    wrong.prints(&["BROKEN", "REDIS_PASSWORD"]);
    server.kill();
    at(&server).run("doctor").with_code(2).prints(&["BROKEN", "check that Redis runs there"]);
}
