//! `doctor` on the Redis of a healthy Caracal deployment.

use caracal_revocation_stream::acl;
use serde_json::{Value, json};

use crate::program::{RedisClient, at, client};
use crate::redis_server::RedisServer;

const HOUR: i64 = 3_600;

/// Returns the id of an entry that is this many seconds old.
fn old_id(client: &mut RedisClient, seconds: i64) -> String {
    let redis::Value::Array(time) = client.run("TIME") else { panic!("no time") };
    let redis::Value::BulkString(now) = &time[0] else { panic!("no seconds") };
    let now: i64 = std::str::from_utf8(now).unwrap().parse().unwrap();
    format!("{}-0", (now - seconds) * 1_000)
}

/// Adds a message that is this many seconds old, signed as producers sign it.
fn add(server: &RedisServer, client: &mut RedisClient, stream: &str, seconds: i64, fields: &Value) {
    let message = json!({"stream": stream, "fields": fields}).to_string();
    let signed = at(server).input(&message).run("sign").with_code(0).object();
    let mut add = redis::cmd("XADD");
    add.arg(stream).arg(old_id(client, seconds));
    for field in signed["fields"].as_array().unwrap() {
        add.arg(field[0].as_str().unwrap()).arg(field[1].as_str().unwrap());
    }
    client.query(&add);
}

/// Adds an entry to a stream that changes no state.
fn add_plain(client: &mut RedisClient, stream: &str, seconds: i64) {
    let id = old_id(client, seconds);
    client.run(&format!("XADD {stream} {id} event any"));
}

/// Reads and acknowledges all entries, as a service of this group does.
fn consume(client: &mut RedisClient, stream: &str, group: &str) {
    client.run(&format!("XREADGROUP GROUP {group} one NOACK STREAMS {stream} >"));
}

/// Simulates six hours of a deployment whose services all run, after three starts of Redis.
fn healthy() -> (RedisServer, RedisClient) {
    let server = RedisServer::start();
    at(&server).run("provision").with_code(0);
    let mut client = client(&server);
    for _ in 0..3 {
        client.run("XADD caracal.providers.ratelimit MAXLEN ~ 1 * init 1");
    }
    client.run("XGROUP CREATE caracal.sessions.revoke gateway-revocation:gw-1 $");
    for hours in [6, 3, 1] {
        let ago = hours * HOUR;
        add_plain(&mut client, "caracal.audit.events", ago);
        add_plain(&mut client, "caracal.audit.events.dlq", ago + HOUR);
        add_plain(&mut client, "caracal.invocations.lifecycle", ago);
        let policy = json!({"zone_id": "z-1", "policy_set_id": "ps-1"});
        add(&server, &mut client, "caracal.policy.invalidate", ago, &policy);
        let revoke = json!({"zone_id": "z-1", "session_id": format!("ar-{hours}")});
        add(&server, &mut client, "caracal.sessions.revoke", ago, &revoke);
        let spawn = json!({"zone_id": "z-1", "event": "spawn", "agent_session_id": "gs-1"});
        add(&server, &mut client, "caracal.agents.lifecycle", ago, &spawn);
        let edge = json!({"zone_id": "z-1", "event": "edge_create", "edge_id": "de-1",
            "epoch": (9 - hours).to_string()});
        add(&server, &mut client, "caracal.delegations.invalidate", ago, &edge);
    }
    for (stream, group) in [
        ("caracal.audit.events", "audit-ingestor"),
        ("caracal.policy.invalidate", "opa-engine"),
        ("caracal.sessions.revoke", "sts-revocation"),
        ("caracal.sessions.revoke", "gateway-revocation:gw-1"),
        ("caracal.keys.invalidate", "sts-keys"),
        ("caracal.agents.lifecycle", "coordinator-relay"),
    ] {
        consume(&mut client, stream, group);
    }
    (server, client)
}

/// Returns the diagnosis for an operator.
fn diagnosis(server: &RedisServer, code: i32) -> Value {
    at(server).run("doctor --json --may-publish").with_code(code).object()
}

/// Returns the findings that are not fine.
fn complaints(diagnosis: &Value) -> Vec<String> {
    let findings = diagnosis["findings"].as_array().unwrap().iter();
    let bad = findings.filter(|finding| finding["level"] != "fine");
    bad.map(|finding| format!("{} {}", finding["check"], finding["subject"])).collect()
}

#[test]
fn doctor_has_no_complaints_about_a_healthy_deployment() {
    let (server, mut client) = healthy();
    let output = diagnosis(&server, 0);
    assert_eq!(complaints(&output), Vec::<String>::new());
    assert_eq!(output["level"], "fine");
    let symptoms = output["symptoms"].as_array().unwrap();
    assert!(symptoms.iter().all(|symptom| symptom["seen"] == json!(false)), "{output}");
    let all = output["findings"].to_string();
    for group in
        ["siem-export", "audit-dlq-observer", "invocations-observer", "delegations-observer"]
    {
        assert!(all.contains(group), "{all}");
    }
    // A follower's own user has no complaints either.
    client.run(&format!("ACL SETUSER follower reset on >pw {}", acl::FOLLOWER));
    let url = server.url().replace("redis://", "redis://follower:pw@");
    let output = at(&server).env("REDIS_URL", &url).run("doctor --json").with_code(0).object();
    assert_eq!(complaints(&output), Vec::<String>::new());
    at(&server).run("verify").with_code(0);
    assert!(!at(&server).run("provision").with_code(0).out.contains("warning"));
}

#[test]
fn doctor_names_a_service_that_stopped_reading() {
    for (stream, group) in [
        ("caracal.audit.events", "audit-ingestor"),
        ("caracal.policy.invalidate", "opa-engine"),
        ("caracal.sessions.revoke", "sts-revocation"),
        ("caracal.agents.lifecycle", "coordinator-relay"),
    ] {
        let (server, mut client) = healthy();
        client.run(&format!("XGROUP SETID {stream} {group} 0"));
        client.run(&format!("XGROUP DELCONSUMER {stream} {group} one"));
        let output = diagnosis(&server, 1);
        assert_eq!(complaints(&output), [format!("\"lag\" \"{stream} {group}\"")]);
        // No advice to destroy the group: without it the service could not start again.
        assert!(!output.to_string().contains("destroy"), "{output}");
    }
    let (server, mut client) = healthy();
    client.run("XGROUP SETID caracal.sessions.revoke gateway-revocation:gw-1 0");
    client.run("XGROUP DELCONSUMER caracal.sessions.revoke gateway-revocation:gw-1 one");
    assert!(diagnosis(&server, 1).to_string().contains("destroy the group if that is gone"));
}

#[test]
fn export_group_counts_once_a_consumer_has_joined() {
    let (server, mut client) = healthy();
    client
        .run("XREADGROUP GROUP siem-export exporter COUNT 1 NOACK STREAMS caracal.audit.events >");
    let output = diagnosis(&server, 1);
    assert_eq!(complaints(&output), ["\"lag\" \"caracal.audit.events siem-export\""]);
}

#[test]
fn names_single_entry_stream_that_grows() {
    let (server, mut client) = healthy();
    for _ in 0..200 {
        client.run("XADD caracal.providers.ratelimit * init 1");
    }
    let output = diagnosis(&server, 1);
    assert_eq!(complaints(&output), ["\"length\" \"caracal.providers.ratelimit\""]);
}

#[test]
fn strict_mode_reports_no_gap_for_a_start() {
    let (server, _) = healthy();
    let strict = at(&server).env("REVOCATION_STRICT", "true");
    let output = strict.run("doctor --json --may-publish").with_code(0).object();
    assert_eq!(complaints(&output), Vec::<String>::new());
}

#[test]
fn doctor_names_a_replica_without_its_primary() {
    let (primary, _) = healthy();
    let port = primary.port().to_string();
    let replica =
        RedisServer::start_with(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
    let mut on_replica = client(&replica);
    let start = std::time::Instant::now();
    while !format!("{:?}", on_replica.run("INFO replication")).contains("master_link_status:up") {
        assert!(start.elapsed().as_secs() < 30, "the replica does not follow");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = at(&replica).run("doctor --json --may-publish").with_code(2).object();
    let bad = complaints(&output);
    assert!(bad.contains(&"\"replica\" \"REDIS_PRIMARY_URL\"".to_owned()), "{bad:?}");
    let findings = output["findings"].as_array().unwrap();
    let follower = findings.iter().find(|finding| finding["check"] == "follower").unwrap();
    assert_eq!(follower["level"], "broken");
    assert!(follower["next"].as_str().unwrap().contains("REDIS_PRIMARY_URL"), "{follower}");
    at(&replica).run("explain --sid a").with_code(2).prints(&["unknown", "REDIS_PRIMARY_URL"]);
    let with_primary = || at(&replica).env("REDIS_PRIMARY_URL", &primary.url());
    let output = with_primary().run("doctor --json --may-publish").with_code(0).object();
    assert_eq!(complaints(&output), Vec::<String>::new());
    with_primary().run("explain --sid a").with_code(0).prints(&["admitted"]);
}
