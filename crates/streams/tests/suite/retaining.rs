//! `retention`: trims only entries that no consumer needs.

use serde_json::json;

use crate::program::{RedisClient, at, client};
use crate::redis_server::RedisServer;

/// Adds entries of these ages in hours, and returns their ids.
fn fill(client: &mut RedisClient, stream: &str, hours: &[i64]) -> Vec<String> {
    let redis::Value::Array(time) = client.run("TIME") else { panic!("no time") };
    let redis::Value::BulkString(now) = &time[0] else { panic!("no seconds") };
    let now: i64 = std::str::from_utf8(now).unwrap().parse().unwrap();
    let add = |hours: &i64| {
        let id = format!("{}-0", (now - hours * 3_600) * 1_000);
        client.run(&format!("XADD {stream} {id} zone_id z"));
        id
    };
    hours.iter().map(add).collect()
}

const STREAM: &str = "caracal.keys.invalidate";

fn removable(server: &RedisServer) -> (serde_json::Value, String) {
    let args = format!("retention plan --json --stream {STREAM}");
    let plan = at(server).run(&args).with_code(0).object();
    (plan["removable"].clone(), plan["kept_for"].as_str().unwrap().to_owned())
}

#[test]
fn never_trims_history_pending_or_unread_entries() {
    let server = RedisServer::start();
    let mut client = client(&server);
    fill(&mut client, STREAM, &[60]);
    at(&server).run("provision").with_code(0);
    let ids = fill(&mut client, STREAM, &[50, 40, 30, 20, 10]);
    assert_eq!(removable(&server), (json!(0), "sts-keys: unread".to_owned()));
    client.run(&format!("XREADGROUP GROUP sts-keys one COUNT 4 STREAMS {STREAM} >"));
    assert_eq!(removable(&server), (json!(1), "sts-keys: pending".to_owned()));
    client.run(&format!("XACK {STREAM} sts-keys {} {}", ids[0], ids[1]));
    assert_eq!(removable(&server), (json!(3), "sts-keys: pending".to_owned()));
    client.run(&format!("XACK {STREAM} sts-keys {} {}", ids[2], ids[3]));
    assert_eq!(removable(&server), (json!(4), "24 h of history".to_owned()));
    assert_eq!(client.number(&format!("XLEN {STREAM}")), 6, "a plan changes nothing");
    at(&server).run("retention apply").with_code(2).prints(&["--yes"]);
    assert_eq!(client.number(&format!("XLEN {STREAM}")), 6);
    at(&server).run("retention apply --yes").with_code(0).prints(&["4 entries removed"]);
    let left = format!("{:?}", client.run(&format!("XRANGE {STREAM} - +")));
    assert_eq!(client.number(&format!("XLEN {STREAM}")), 2);
    assert!(left.contains(&ids[3]) && left.contains(&ids[4]), "{left}");
    at(&server).run("retention apply --yes").with_code(0).prints(&["nothing can be trimmed"]);
    at(&server).run("verify").with_code(0);
}

#[test]
fn keeps_the_only_entry_of_a_stream_without_groups() {
    let server = RedisServer::start();
    let mut client = client(&server);
    fill(&mut client, "caracal.providers.ratelimit", &[100]);
    at(&server).run("provision").with_code(0);
    at(&server).run("retention apply --yes").with_code(0);
    assert_eq!(client.number("XLEN caracal.providers.ratelimit"), 1);
}

#[test]
fn never_trims_the_audit_dead_letters() {
    let server = RedisServer::start();
    let mut client = client(&server);
    let dead = "caracal.audit.events.dlq";
    fill(&mut client, dead, &[60, 50, 40]);
    at(&server).run("provision").with_code(0);
    // Read by a consumer: unread entries are not the reason to keep it.
    client.run(&format!("XGROUP SETID {dead} audit-dlq-observer $"));
    let plan = at(&server).run(&format!("retention plan --json --stream {dead}")).object();
    assert_eq!(plan["removable"], json!(0));
    assert!(plan["kept_for"].as_str().unwrap().contains("Audit service"), "{plan}");
    at(&server).run("retention apply --yes").with_code(0);
    at(&server).run(&format!("retention apply --yes --stream {dead}")).with_code(0);
    assert_eq!(client.number(&format!("XLEN {dead}")), 3);
}

#[test]
fn plan_without_streams_reports_it() {
    let server = RedisServer::start();
    at(&server).run("retention plan").with_code(0).prints(&["none of these streams", "provision"]);
}
