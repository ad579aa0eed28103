//! `fleet --watch`: in a real terminal, and as lines.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{KEY, at};
use crate::redis_server::RedisServer;
use crate::replica_process::Replica;
use crate::tmux::Tmux;

#[test]
fn shows_the_fleet_live_in_wide_and_narrow_terminals() {
    let server = RedisServer::start();
    let frozen = Replica::start(&server, "gw-1");
    at(&server).run("publish --yes revoke --zone z-1 --session ar-1").with_code(0);
    let terminal = Tmux::run(&server, "fleet --watch --expect 2", (100, 16));
    let _other = Replica::start(&server, "gw-2");
    terminal.wait_for(&["2 of 2 ready", "gw-1", "gw-2", "staleness", "lag p95", "lag max"]);
    terminal.resize(34, 10);
    terminal.wait_for(&["2 of 2 ready", "gw-1", "ready"]);
    assert!(!terminal.screen().contains("lag max"), "{}", terminal.screen());

    frozen.freeze();
    at(&server).run("publish --yes revoke --zone z-1 --session ar-2").with_code(0);
    terminal.resize(100, 16);
    terminal.wait_for(&["1 of 2 ready"]);
    terminal.wait_for(&["gw-1", "GONE"]);
    frozen.thaw();
    terminal.wait_for(&["2 of 2 ready"]);
    terminal.keys("q");
    terminal.wait_for(&["code=0."]);
    assert!(!terminal.screen().contains("replicas, the worst first"), "the screen is restored");
}

#[test]
fn shows_an_outage_and_its_end() {
    let mut server = RedisServer::start();
    let _replica = Replica::start(&server, "gw-1");
    let terminal = Tmux::run(&server, "fleet --watch", (80, 12));
    terminal.wait_for(&["1 of 1 ready"]);
    server.kill();
    terminal.wait_for(&["NOT CONNECTED"]);
    server.restart();
    terminal.wait_for(&["1 of 1 ready"]);
}

fn lines(server: &RedisServer, args: &str) -> (std::process::Child, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_caracal-streams"))
        .args(args.split(' '))
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    // The reader is gone after two lines.
    let lines = output.lines().take(2).map(Result::unwrap).collect();
    (child, lines)
}

#[test]
fn writes_lines_until_its_reader_is_gone() {
    let server = RedisServer::start();
    let (mut child, text) = lines(&server, "fleet --watch --expect 3");
    assert_eq!(text, ["0 of 3 ready: no replica writes receipts"; 2]);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let _replica = Replica::start(&server, "gw-1");
    let (mut child, text) = lines(&server, "fleet --watch --json");
    let views: Vec<Value> = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for view in views {
        let row = &view["replicas"][0];
        assert_eq!((&row["replica"], &row["status"]), (&json!("gw-1"), &json!("ready")));
        assert!(row["staleness_seconds"].as_f64().is_some_and(|age| age < 60.0), "{row}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn names_unusable_settings_as_plain_text() {
    let server = RedisServer::start();
    let wrong = at(&server).env("REDIS_URL", "redis://127.0.0.1:1");
    wrong.run("fleet --watch").with_code(2).prints(&["caracal-streams:"]);
    at(&server).run("fleet --watch --wait").with_code(2).prints(&["--wait"]);
}
