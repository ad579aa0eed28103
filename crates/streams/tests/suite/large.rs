//! Large entries, answers that are cut at a size, and slow lines: each command ends with a result or
//! a clear error.

use std::time::{Duration, Instant};

use crate::program::{Hand, at, hand};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

const STREAM: &str = "caracal.sessions.revoke";
const DEAD: &str = "caracal.sessions.revoke.dead";

fn server() -> (RedisServer, Hand) {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    at(&server).run("provision").with_code(0);
    let hand = hand(&server);
    (server, hand)
}

fn add(hand: &mut Hand, key: &str, bytes: usize) {
    hand.run_with(&["XADD", key, "*", "note", &"x".repeat(bytes)]);
}

fn bury(hand: &mut Hand, bytes: usize) {
    let values = "x".repeat(bytes);
    let words = ["XADD", DEAD, "*", "original_id", "7-0", "error", "effect", "values", &values];
    hand.run_with(&words);
}

fn limit_answers(hand: &mut Hand, limit: &str) {
    let limit = format!("normal {limit} 0 0");
    hand.run_with(&["CONFIG", "SET", "client-output-buffer-limit", &limit]);
}

#[test]
fn every_command_ends_with_a_large_entry_in_a_stream() {
    let (server, mut hand) = server();
    add(&mut hand, STREAM, 12 << 20);
    add(&mut hand, DEAD, 12 << 20);
    bury(&mut hand, 10);
    at(&server).run("verify").with_code(0);
    let listed = at(&server).run("dead-letters list").with_code(0);
    listed.says(&["too large to be read", "original 7-0"]);
    at(&server).run("watch --until-idle").with_code(0).says(&["too_large"]);
    at(&server).run("doctor").with_code(1).says(&["dead_letters"]);
    at(&server).run("retention plan").with_code(0).says(&[STREAM]);
    at(&server).run("explain --sid ar-1");
    let drop = format!("dead-letters drop --stream {STREAM} --all --yes");
    at(&server).run(&drop).with_code(0).says(&["2 dropped"]);
}

/// `XINFO STREAM` repeats the entry twice.
#[test]
fn a_slow_line_is_waited_for() {
    let (server, mut hand) = server();
    add(&mut hand, STREAM, 12 << 20);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Proxy::to(server.port()));
    proxy.throttle(6_000_000);
    let begun = Instant::now();
    at(&server).env("REDIS_URL", &proxy.url()).run("verify").with_code(0);
    assert!(begun.elapsed() > Duration::from_secs(2), "longer than any answer used to take");
}

#[test]
fn asks_for_less_where_answers_are_cut() {
    let (server, mut hand) = server();
    for _ in 0..40 {
        add(&mut hand, STREAM, 100_000);
    }
    for _ in 0..100 {
        bury(&mut hand, 50_000);
    }
    limit_answers(&mut hand, "1mb");
    let listed = at(&server).run("dead-letters list --json --count 1000").with_code(0);
    assert_eq!(listed.json().len(), 100);
    let watched = at(&server).run("watch --until-idle --json").with_code(0);
    assert_eq!(watched.json().len(), 40);
    at(&server).run("doctor --verbose").says(&["40 unread", "effect 100"]);
    at(&server).run("retention plan").with_code(0);
}

#[test]
fn names_the_entry_that_no_answer_can_hold() {
    let (server, mut hand) = server();
    add(&mut hand, STREAM, 3 << 20);
    bury(&mut hand, 3 << 20);
    limit_answers(&mut hand, "1mb");
    at(&server).run("verify").with_code(2).says(&["XINFO STREAM", STREAM]);
    at(&server).run("dead-letters list").with_code(2).says(&["XRANGE", DEAD]);
    at(&server).run("watch --until-idle").with_code(2).says(&[STREAM]);
    at(&server).run("doctor").with_code(2).says(&["XINFO STREAM", STREAM]);
}
