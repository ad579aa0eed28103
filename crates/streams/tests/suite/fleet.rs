//! `fleet`: the replicas that have applied a message.

use caracal_revocation::Follower;
use caracal_revocation::wire::{Key, KeyRing};
use serde_json::json;

use crate::program::{KEY, at};
use crate::redis_server::RedisServer;

const FAR: &str = "caracal.sessions.revoke/99999999999999-0";

#[test]
fn reports_lag_once_every_replica_has_applied_a_message() {
    let server = RedisServer::start();
    at(&server).run("provision").with_code(0);
    at(&server).run("fleet").with_code(1).prints(&["no replica writes receipts"]);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = KeyRing::new(Key::from_hex(KEY).unwrap());
    let _running = runtime.enter();
    for replica in ["gw-1", "gw-2"] {
        let _ = Follower::new(server.settings(&keys)).with_receipts(replica).spawn();
    }
    at(&server).run("fleet --expect 2 --wait").with_code(0).prints(&["gw-1: ready", "gw-2: ready"]);

    let published = at(&server)
        .run("publish revoke --zone z-1 --session ar-1 --reason test --yes --json")
        .with_code(0)
        .object();
    let id = published["id"].as_str().unwrap();
    let args = format!("fleet --message caracal.sessions.revoke/{id} --expect 2 --wait --json");
    let report = at(&server).run(&args).with_code(0).object();
    assert_eq!((&report["complete"], &report["expected"]), (&json!(true), &json!(2)));
    for (line, replica) in report["replicas"].as_array().unwrap().iter().zip(["gw-1", "gw-2"]) {
        assert_eq!((&line["replica"], &line["applied"]), (&json!(replica), &json!(true)));
        let lag = line["lag_seconds"].as_f64().unwrap();
        assert!((0.0..30.0).contains(&lag), "{line}");
    }
}

#[test]
fn fails_while_a_replica_is_missing_or_behind() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = KeyRing::new(Key::from_hex(KEY).unwrap());
    let _running = runtime.enter();
    let _ = Follower::new(server.settings(&keys)).with_receipts("gw-1\u{1b}[2J").spawn();
    at(&server).run("fleet --wait").with_code(0).prints(&[r"gw-1\u{1b}[2J: ready"]);
    at(&server).run("fleet --expect 2").with_code(1).prints(&["1 replica, 2 expected: NOT all"]);
    let args = format!("fleet --message {FAR} --wait --timeout 1s");
    at(&server).run(&args).with_code(1).prints(&["NOT applied"]);
    at(&server).run("fleet --message caracal.sessions.revoke").with_code(2).prints(&["STREAM/ID"]);
}

#[test]
fn replica_that_read_the_message_at_its_start_is_marked() {
    let server = RedisServer::start();
    let publish = "publish revoke --zone z-1 --session ar-1 --yes --json";
    let published = at(&server).run(publish).with_code(0).object();
    let id = published["id"].as_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = KeyRing::new(Key::from_hex(KEY).unwrap());
    let _running = runtime.enter();
    let _ = Follower::new(server.settings(&keys)).with_receipts("gw-1").spawn();
    let args = format!("fleet --message caracal.sessions.revoke/{id} --wait");
    at(&server).run(&args).with_code(0).prints(&["read at its start or after a gap, or rejected"]);
    let report = at(&server).run(&format!("{args} --json")).with_code(0).object();
    let line = &report["replicas"][0];
    assert_eq!((&line["applied"], &line["unclear"]), (&json!(true), &json!(true)), "{report}");
}
