//! `drill`: a harmless revocation on its way to real followers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use caracal_revocation::Follower;
use caracal_revocation::wire::{Key, KeyRing};
use caracal_test_support::child_guard::signal;
use caracal_test_support::terminal::eventually;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::program::{Ended, KEY, OTHER_KEY, at, client, program};
use crate::redis_server::RedisServer;
use crate::replica_process::Replica;

const REVOKE: &str = "caracal.sessions.revoke";

/// Starts replicas in this process. They end with the runtime.
fn replicas(server: &RedisServer, names: &[&str], key: &str) -> Runtime {
    let runtime = Runtime::new().unwrap();
    let keys = KeyRing::new(Key::from_hex(key).unwrap());
    for name in names {
        let _running = runtime.enter();
        let _ = Follower::new(server.settings(&keys)).with_receipts(name).spawn();
    }
    eventually("every replica writes receipts", || {
        let shown = at(server).run("fleet").out;
        names.iter().all(|name| shown.contains(&format!("{name}:")))
    });
    runtime
}

fn messages(server: &RedisServer) -> i64 {
    client(server).number(&format!("XLEN {REVOKE}"))
}

/// Runs the drill until its exit code is this one: a replica may need a moment to recover.
#[track_caller]
fn eventually_code(server: &RedisServer, args: &str, code: i32) -> Ended {
    let mut last = None;
    eventually(args, || {
        let ended = at(server).run(args);
        let is_so = ended.code == code;
        last = Some(ended);
        is_so
    });
    last.unwrap()
}

#[test]
fn proves_that_every_replica_applies_a_harmless_revocation() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1", "gw-2"], KEY);
    eventually_code(&server, "drill --replicas 2 --within 20s", 0).prints(&[
        "published after",
        "gw-1: applied after",
        "2 of 2 replicas within 20 s: ok",
    ]);
    let report = at(&server).run("drill --within 20s --json").with_code(0).object();
    assert_eq!((&report["within"], &report["failed"]), (&json!(true), &json!([])));
    for (line, name) in report["replicas"].as_array().unwrap().iter().zip(["gw-1", "gw-2"]) {
        assert_eq!((&line["replica"], &line["state"]), (&json!(name), &json!("applied")));
        let after = line["applied_seconds"].as_f64().unwrap();
        assert!(after >= report["published_seconds"].as_f64().unwrap() && after < 20.0, "{line}");
    }
    let seen = at(&server).run("watch --from 0 --until-idle --json").with_code(0).json();
    let last = seen.last().unwrap();
    let anchor = report["anchor"].as_str().unwrap();
    assert!(anchor.starts_with("caracal-drill-") && anchor.len() == 46, "{anchor}");
    assert_eq!((&last["outcome"], &last["said"]), (&json!("applied"), &json!("drill")));
    assert_eq!(last["effect"], json!({"revoke": [anchor]}));
    assert_ne!(seen[0]["effect"], last["effect"], "each drill has its own anchor");
    assert_eq!(report["message"], format!("{REVOKE}/{}", last["id"].as_str().unwrap()));
}

#[test]
fn each_stage_beyond_the_bound_fails() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    eventually_code(&server, "drill --within 20s", 0);
    let late = at(&server).run("drill --within 0ms --json").with_code(1).object();
    assert_eq!(late["failed"], json!(["published", "applied"]));
    assert_eq!(late["replicas"][0]["state"], "late");
    at(&server).run("drill --within 0ms").with_code(1).prints(&["LATE: published", "gw-1: LATE"]);
}

#[test]
fn fleet_without_receipts_gets_no_message() {
    let server = RedisServer::start();
    at(&server).run("drill").with_code(2).prints(&["no replica writes receipts", "with_receipts"]);
    assert_eq!(messages(&server), 0);
    at(&server)
        .run("drill --replicas 3 --within 0ms")
        .with_code(1)
        .prints(&["0 of 3 replicas", "present"]);
}

#[test]
fn wrong_key_publishes_nothing() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    eventually_code(&server, "drill --within 20s", 0);
    let before = messages(&server);
    at(&server)
        .env("STREAMS_HMAC_KEY", OTHER_KEY)
        .run("drill")
        .with_code(2)
        .prints(&["STREAMS_HMAC_KEY", "nothing was published"]);
    assert_eq!(messages(&server), before);
    let without_key = program().env("REDIS_URL", &server.url()).env("CARACAL_MODE", "dev");
    without_key.run("drill").with_code(2).prints(&["STREAMS_HMAC_KEY"]);
    assert_eq!(messages(&server), before);
    // One forged message at the end does not make a right key wrong.
    client(&server).run(&format!("XADD {REVOKE} * session_id forged"));
    at(&server).run("drill --within 20s").with_code(0);
}

#[test]
fn names_the_replica_with_another_key() {
    let server = RedisServer::start();
    let _good = replicas(&server, &["gw-1"], KEY);
    eventually_code(&server, "drill --within 20s", 0);
    let _other = replicas(&server, &["gw-2"], OTHER_KEY);
    let ended = eventually_code(&server, "drill --within 20s --replicas 2", 1);
    ended.prints(&["gw-1: applied", "gw-2: NOT applied: it read the message and rejected it"]);
}

#[test]
fn frozen_replica_fails_until_it_continues() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    let frozen = Replica::start(&server, "gw-2");
    eventually_code(&server, "drill --within 20s --replicas 2", 0);
    frozen.freeze();
    at(&server).run("drill --within 1s").with_code(1).prints(&[
        "gw-2: NOT applied: it has not read",
        "1 of 2 replicas",
        "FAILED",
    ]);
    // Its receipt expires after 15 seconds. Only the expected number then shows that it is missing.
    eventually("its receipt expires", || !at(&server).run("fleet").out.contains("gw-2"));
    at(&server).run("drill --within 2s").with_code(0).prints(&["1 of 1 replica"]);
    let gone = at(&server).run("drill --within 2s --replicas 2 --json").with_code(1).object();
    assert_eq!(gone["failed"], json!(["present"]));
    frozen.thaw();
    eventually_code(&server, "drill --within 20s --replicas 2", 0);
}

#[test]
fn documented_rights_suffice() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/caracal-streams.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## drill\n").unwrap();
    let rights = section.split_once("Rights: `").unwrap().1.split('`').next().unwrap();
    let user = format!("ACL SETUSER drill on >pw resetkeys -@all {rights}");
    client(&server).run(&user);
    let url = format!("redis://drill:pw@127.0.0.1:{}", server.port());
    for _ in 0..2 {
        at(&server).env("REDIS_URL", &url).run("drill --within 20s").with_code(0);
    }
}

/// Starts the program, which runs until it is ended.
fn start(server: &RedisServer, args: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_caracal-streams"))
        .args(args.split_whitespace())
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn redis_that_stops_after_the_message_leaves_no_answer() {
    let mut server = RedisServer::start();
    let frozen = Replica::start(&server, "gw-1");
    eventually_code(&server, "drill --within 20s", 0);
    let before = messages(&server);
    frozen.freeze();
    let drill = start(&server, "drill --within 6s");
    eventually("the message is published", || messages(&server) > before);
    server.kill();
    let (code, text) = ended(drill);
    assert!(code == Some(2) && text.contains("was published"), "{code:?}: {text}");
    at(&server).run("drill").with_code(2).prints(&["caracal-streams:"]);
}

#[test]
fn redis_that_restarts_within_the_bound_does_not_fail_the_drill() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let frozen = Replica::start(&server, "gw-1");
    eventually_code(&server, "drill --within 20s", 0);
    let before = messages(&server);
    frozen.freeze();
    let drill = start(&server, "drill --within 25s");
    eventually("the message is published", || messages(&server) > before);
    server.kill();
    server.restart();
    frozen.thaw();
    let (code, text) = ended(drill);
    // The replica reads the message again after the restart, so its receipt shows no delay.
    assert!(
        text.contains("gw-1: applied") || text.contains("gw-1: NOT applied: it read"),
        "{text}"
    );
    assert!(code.is_some_and(|code| code < 2), "an answer: {text}");
}

/// Answers every request with this status and body. Returns its port.
fn service(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 1_024];
            let read = connection.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /ready HTTP/1.1"));
            let length = body.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}

#[test]
fn asks_each_service_if_it_is_ready() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    let ready = service("200 OK", r#"{"status":"ready"}"#);
    let args = format!("drill --within 20s --ready http://127.0.0.1:{ready}");
    eventually_code(&server, &args, 0).prints(&["/ready: ready"]);
    let body = r#"{"status":"unready","reason":"stale","advice":"check \u001b[2J Redis"}"#;
    let stale = service("503 Service Unavailable", body);
    let args = format!("{args} --ready http://127.0.0.1:{stale}");
    at(&server).run(&args).with_code(1).prints(&[r"NOT READY: stale: check \u{1b}[2J Redis"]);
    let report = at(&server).run(&format!("{args} --json")).with_code(1).object();
    assert_eq!(report["failed"], json!(["ready"]));
    let ready: Vec<_> =
        report["services"].as_array().unwrap().iter().map(|service| &service["ready"]).collect();
    assert_eq!(ready, [true, false]);
    at(&server)
        .run("drill --within 20s --ready http://127.0.0.1:1/ready")
        .with_code(1)
        .prints(&["NOT READY: ", "refused"]);
}

#[test]
fn rejects_unusable_flags_before_publishing() {
    let server = RedisServer::start();
    for (args, named) in [
        ("drill --every 5s", "10s or more"),
        ("drill --metrics-listen 127.0.0.1:0", "--every"),
        ("drill --probe http://127.0.0.1:1", "--probe-token-file"),
        ("drill --every 1m --probe http://127.0.0.1:1 --probe-token-file /t", "--every"),
        ("drill --ready gw-1", "http://HOST"),
        ("drill --ready http://user:pw@gw-1", "contains a login"),
        ("drill --replicas 0", "--replicas"),
        ("drill --within 1w", "500ms"),
        ("drill --probe http://127.0.0.1:1 --probe-token-file /none", "/none"),
    ] {
        at(&server).run(args).with_code(2).prints(&[named]);
    }
    assert_eq!(client(&server).number("DBSIZE"), 0);
}

/// A prober, its lines, and the address of its metrics.
struct Prober {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    metrics: String,
}

impl Prober {
    fn start(server: &RedisServer) -> Self {
        let args = "drill --within 5s --every 10s --metrics-listen 127.0.0.1:0 --json";
        let mut child = start(server, args);
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line.trim().split_once("http://").expect(&line).1;
        let metrics = address.strip_suffix("/metrics").unwrap().to_owned();
        // Standard error stays open, so that later notes do not fail.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, metrics }
    }

    /// Returns the report of the next drill.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("a line").unwrap()).unwrap()
    }

    fn get(&self, path: &str) -> String {
        let mut connection = std::net::TcpStream::connect(&self.metrics).unwrap();
        let close = "host: a\r\nconnection: close";
        write!(connection, "GET {path} HTTP/1.1\r\n{close}\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        text
    }
}

/// Reads the name and type of each metric of drills in `docs/metrics.md`.
fn documented() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `caracal_drill_")?.split_once('`')?;
        let name = format!("caracal_drill_{}", name.split('{').next()?);
        Some((name, rest.split(" | ").nth(1)?.to_owned()))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

#[test]
fn prober_exports_documented_metrics_and_survives_an_outage() {
    let mut server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    eventually_code(&server, "drill --within 20s", 0);
    let mut prober = Prober::start(&server);
    assert_eq!(prober.next()["within"], true);
    let scrape = prober.get("/metrics");
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut types: Vec<_> = types.map(|(n, kind)| (n.to_owned(), kind.to_owned())).collect();
    types.sort();
    assert_eq!(types, documented());
    for sample in [
        "caracal_drill_runs_total 1",
        "caracal_drill_replicas 1",
        "caracal_drill_delay_seconds_count{stage=\"applied\"} 1",
        "caracal_drill_delay_seconds_count{stage=\"published\"} 1",
        "caracal_drill_failures_total{stage=\"connect\"} 0",
    ] {
        assert!(scrape.contains(sample), "{sample}: {scrape}");
    }
    assert!(!scrape.contains("last_success_timestamp_seconds 0"), "{scrape}");
    assert!(prober.get("/").starts_with("HTTP/1.1 404"));

    server.kill();
    let failed = prober.next();
    assert_eq!((&failed["within"], &failed["failed"]), (&json!(false), &json!(["connect"])));
    assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
    let connect = "caracal_drill_failures_total{stage=\"connect\"} 1";
    assert!(prober.get("/metrics").contains(connect));
    server.restart();
    eventually("a drill succeeds again", || prober.next()["within"] == true);

    signal(prober.child.id(), "-TERM").unwrap();
    assert_eq!(prober.child.wait().unwrap().code(), Some(0));
}

#[test]
fn prober_without_metrics_ends_with_its_reader() {
    let server = RedisServer::start();
    let _running = replicas(&server, &["gw-1"], KEY);
    let mut child = start(&server, "drill --within 5s --every 1h");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("of 1 replica"), "{line}");
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
