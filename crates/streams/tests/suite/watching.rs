//! `watch` with output as lines.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::program::{KEY, OTHER_KEY, at, client, program};
use crate::redis_server::RedisServer;

fn publish(server: &RedisServer, id: &str) -> String {
    let args = format!("publish --yes --json revoke --zone z-1 --session {id}");
    let published = at(server).run(&args).with_code(0).object();
    published["id"].as_str().unwrap().to_owned()
}

#[test]
fn shows_messages_from_an_id_and_by_count() {
    let server = RedisServer::start();
    let ids = ["ar-1", "ar-2", "ar-3"].map(|id| publish(&server, id));
    let shown = |args: &str| -> Vec<String> {
        let output = at(&server).run(&format!("watch --json {args}")).with_code(0).json();
        output.iter().map(|output| output["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown("--until-idle"), ids);
    assert_eq!(shown(&format!("--until-idle --from {}", ids[1])), ids[1..]);
    assert_eq!(shown("--until-idle --since 1h"), ids);
    assert_eq!(shown("--from 0 --count 2"), ids[..2]);
    at(&server).run("watch --from 0 --count 1").prints(&["revoke ar-1", "zone z-1", "operator"]);
}

#[test]
fn follows_new_messages() {
    let server = RedisServer::start();
    publish(&server, "before");
    let mut child = Command::new(env!("CARGO_BIN_EXE_caracal-streams"))
        .args(["watch", "--json", "--count", "2"])
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The start of the watch is unknown, so messages are sent until it has seen two.
    let ended = std::sync::atomic::AtomicBool::new(false);
    let seen: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                publish(&server, "after");
            }
        });
        let seen = lines.map(Result::unwrap).collect();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        seen
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|line| line.contains("after")), "{seen:?}");
}

#[test]
fn shows_message_of_another_key_as_rejected() {
    let server = RedisServer::start();
    publish(&server, "ar-1");
    let output = at(&server).env("STREAMS_HMAC_KEY", OTHER_KEY).run("watch --until-idle --json");
    let output = output.with_code(0).object();
    assert_eq!((&output["outcome"], &output["reason"]), (&"rejected".into(), &"signature".into()));
}

#[test]
fn messages_cannot_rewrite_the_terminal() {
    let server = RedisServer::start();
    let reason = "\u{1b}[2J\u{202e}evil";
    let args = ["publish", "--yes", "revoke", "--zone", "z", "--session", "a", "--reason", reason];
    at(&server).run_with(&args).with_code(0);
    let shown = at(&server).run("watch --until-idle").with_code(0);
    assert!(!shown.out.contains(['\u{1b}', '\u{202e}']), "{}", shown.out);
    assert!(shown.out.contains("evil"));
}

#[test]
fn outage_ends_watch_only_with_until_idle() {
    let mut server = RedisServer::start();
    server.kill();
    at(&server).run("watch --until-idle").with_code(2).prints(&["REDIS_URL"]);
    let no_key = program().env("REDIS_URL", &server.url()).run("watch");
    no_key.with_code(2).prints(&["STREAMS_HMAC_KEY"]);
    server.restart();
    client(&server).run("PING");
    at(&server).run("watch --until-idle").with_code(0);
}

/// Without a message to write, only the closed pipe reveals that the reader has ended.
#[test]
fn ends_once_its_reader_is_gone() {
    let server = RedisServer::start();
    for id in ["ar-1", "ar-2", "ar-3"] {
        publish(&server, id);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_caracal-streams"))
        .args(["watch", "--from", "0", "--lines"])
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        lines.next().unwrap().unwrap();
    }
    drop(lines);
    let start = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed().as_secs() >= 30 {
            child.kill().unwrap();
            panic!("the program continues without a reader");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn names_the_delegations_that_a_message_ends() {
    let server = RedisServer::start();
    let args = "publish --yes delegation --zone z-1 --event";
    at(&server).run(&format!("{args} create --edge de-1 --epoch 41")).with_code(0);
    at(&server).run(&format!("{args} revoke --edge de-1 --epoch 42")).with_code(0);
    at(&server).run(&format!("{args} expire --edge de-2 --edge de-3 --epoch 43")).with_code(0);
    let output = at(&server).run("watch --until-idle --json").with_code(0).json();
    assert_eq!(output[0].get("ended"), None, "{output:?}");
    assert_eq!(output[1]["ended"], serde_json::json!(["de-1"]));
    assert_eq!(output[1]["effect"], serde_json::json!({"epoch": ["z-1", 42]}));
    assert_eq!(output[2]["ended"], serde_json::json!(["de-2", "de-3"]));
}
