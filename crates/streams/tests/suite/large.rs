//! Large entries, answers that are cut at a size, and slow lines: each command ends with a result or
//! a clear error.

use std::time::{Duration, Instant};

use crate::program::{RedisClient, at, client};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

const STREAM: &str = "caracal.sessions.revoke";
const DEAD: &str = "caracal.sessions.revoke.dead";

fn server() -> (RedisServer, RedisClient) {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    at(&server).run("provision").with_code(0);
    let client = client(&server);
    (server, client)
}

fn add(client: &mut RedisClient, key: &str, bytes: usize) {
    client.run_with(&["XADD", key, "*", "note", &"x".repeat(bytes)]);
}

fn add_dead_letter(client: &mut RedisClient, bytes: usize) {
    let values = "x".repeat(bytes);
    let args = ["XADD", DEAD, "*", "original_id", "7-0", "error", "effect", "values", &values];
    client.run_with(&args);
}

fn limit_reply_size(client: &mut RedisClient, limit: &str) {
    let limit = format!("normal {limit} 0 0");
    client.run_with(&["CONFIG", "SET", "client-output-buffer-limit", &limit]);
}

#[test]
fn every_command_ends_with_a_large_entry_in_a_stream() {
    let (server, mut client) = server();
    add(&mut client, STREAM, 12 << 20);
    add(&mut client, DEAD, 12 << 20);
    add_dead_letter(&mut client, 10);
    at(&server).run("verify").with_code(0);
    let listed = at(&server).run("dead-letters list").with_code(0);
    listed.prints(&["too large to be read", "original 7-0"]);
    at(&server).run("watch --until-idle").with_code(0).prints(&["too_large"]);
    at(&server).run("doctor").with_code(1).prints(&["dead_letters"]);
    at(&server).run("retention plan").with_code(0).prints(&[STREAM]);
    at(&server).run("explain --sid ar-1");
    let drop = format!("dead-letters drop --stream {STREAM} --all --yes");
    at(&server).run(&drop).with_code(0).prints(&["2 dropped"]);
}

/// `XINFO STREAM` repeats the entry twice.
#[test]
fn waits_for_slow_connection() {
    let (server, mut client) = server();
    add(&mut client, STREAM, 12 << 20);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Proxy::to(server.port()));
    proxy.throttle(6_000_000);
    let begun = Instant::now();
    at(&server).env("REDIS_URL", &proxy.url()).run("verify").with_code(0);
    assert!(begun.elapsed() > Duration::from_secs(2), "longer than any answer used to take");
}

#[test]
fn reads_smaller_batches_when_replies_are_cut() {
    let (server, mut client) = server();
    for _ in 0..40 {
        add(&mut client, STREAM, 100_000);
    }
    for _ in 0..100 {
        add_dead_letter(&mut client, 50_000);
    }
    limit_reply_size(&mut client, "1mb");
    let listed = at(&server).run("dead-letters list --json --count 1000").with_code(0);
    assert_eq!(listed.json().len(), 100);
    let watched = at(&server).run("watch --until-idle --json").with_code(0);
    assert_eq!(watched.json().len(), 40);
    at(&server).run("doctor --verbose").prints(&["40 unread", "effect 100"]);
    at(&server).run("retention plan").with_code(0);
}

#[test]
fn reports_entry_too_large_for_any_reply() {
    let (server, mut client) = server();
    add(&mut client, STREAM, 3 << 20);
    add_dead_letter(&mut client, 3 << 20);
    limit_reply_size(&mut client, "1mb");
    at(&server).run("verify").with_code(2).prints(&["XINFO STREAM", STREAM]);
    at(&server).run("dead-letters list").with_code(2).prints(&["XRANGE", DEAD]);
    at(&server).run("watch --until-idle").with_code(2).prints(&[STREAM]);
    at(&server).run("doctor").with_code(2).prints(&["XINFO STREAM", STREAM]);
}
