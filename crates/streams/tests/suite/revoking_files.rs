//! `publish revoke` with many anchors from a file: every replica applies each of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caracal_revocation::Follower;
use caracal_revocation::state::{Checks, Claims, Revocations, Verdict};
use caracal_revocation::wire::{Key, KeyRing};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{KEY, OTHER_KEY, Program, at, client};
use crate::redis_server::RedisServer;
use crate::tmux::Tmux;

pub(crate) const STREAM: &str = "caracal.sessions.revoke";

/// Starts followers with receipts, on a runtime that must live as long as they do.
pub(crate) fn replicas(
    server: &RedisServer,
    names: &[&str],
) -> (tokio::runtime::Runtime, Vec<Revocations>) {
    replicas_with(server, names, KEY)
}

/// Starts followers that accept this key.
fn replicas_with(
    server: &RedisServer,
    names: &[&str],
    key: &str,
) -> (tokio::runtime::Runtime, Vec<Revocations>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let keys = KeyRing::new(Key::from_hex(key).unwrap());
    let entered = runtime.enter();
    let spawn = |name: &&str| Follower::new(server.settings(&keys)).with_receipts(name).spawn();
    let replicas = names.iter().map(spawn).collect();
    drop(entered);
    at(server).run(&format!("fleet --wait --expect {}", names.len())).with_code(0);
    (runtime, replicas)
}

/// Returns `true` if a token with this anchor is denied.
pub(crate) fn denies(replica: &Revocations, id: &str) -> bool {
    let now = replica.now();
    let issued = i64::try_from(now.wall.as_secs()).unwrap();
    let claims = Claims::new(id, issued, issued + 900);
    matches!(replica.decide(&claims, &Checks::default(), now), Verdict::Denied(_))
}

/// Waits until a follower denies all these anchors.
#[track_caller]
pub(crate) fn denies_all(replica: &Revocations, ids: impl Iterator<Item = String>) {
    let start = Instant::now();
    for id in ids {
        while !denies(replica, &id) {
            assert!(start.elapsed().as_secs() < 60, "{id} is not revoked");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes a file with `count` ids: `ar-0`, `ar-1`, …
pub(crate) fn ids_file(folder: &Path, count: usize) -> PathBuf {
    let mut text = String::new();
    for index in 0..count {
        writeln!(text, "ar-{index}").unwrap();
    }
    let path = folder.join("ids.txt");
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns the program in an empty folder.
pub(crate) fn within(server: &RedisServer, folder: &TempDir) -> Program {
    at(server).within(folder.path())
}

/// Returns the names of the files in a folder.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_replica_applies_ten_thousand_anchors() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    at(&server).run("provision").with_code(0);
    let (_runtime, replicas) = replicas(&server, &["gw-1", "gw-2"]);
    ids_file(folder.path(), 10_000);
    let args = "publish revoke --zone z-1 --from-file ids.txt --expect 2 --yes --json";
    let run = within(&server, &folder).run(args).with_code(0).object();
    // With --no-capture, these are the figures of docs/caracal-streams.md.
    println!("{run}");
    let counted = ["messages", "published", "already_published"].map(|name| run[name].as_u64());
    assert_eq!(counted, [Some(10_000), Some(10_000), Some(0)]);
    assert_eq!((&run["fleet"]["complete"], &run["fleet"]["expected"]), (&json!(true), &json!(2)));
    assert!(run["last"].as_str().unwrap().starts_with("caracal.sessions.revoke/"), "{run}");
    for replica in &replicas {
        for index in 0..10_000 {
            assert!(denies(replica, &format!("ar-{index}")), "ar-{index}");
        }
        assert!(!denies(replica, "ar-10000"));
    }
    assert_eq!(files(folder.path()), ["ids.txt"], "the journal is removed");
}

#[test]
fn reads_json_lines_from_standard_input() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let lines = r#"{"zone_id":"z-1","sid":"a","root_sid":"b"}
        {"agent_session_id":"c","delegation_edge_id":"d","reason":"stolen"}
        {"zone_id":"z-1","session_id":"a","root_sid":"b"}"#;
    let args = "publish revoke --zone z-2 --from-file - --yes";
    let run = within(&server, &folder).input(lines).run(args).with_code(0);
    run.prints(&["published 2 messages in", "no replica writes receipts"]);
    let watched = at(&server).run("watch --from 0 --until-idle --json").with_code(0).json();
    let of = |name: &str| watched.iter().map(|it| it[name].clone()).collect::<Vec<Value>>();
    assert_eq!(of("effect"), [json!({"revoke": ["a", "b"]}), json!({"revoke": ["d", "c"]})]);
    assert_eq!(of("zone"), [json!("z-1"), json!("z-2")]);
    assert_eq!(of("said"), [json!("operator"), json!("stolen")]);
    // The list occupies standard input, so the question cannot be answered there.
    let args = "publish revoke --zone z-2 --from-file -";
    within(&server, &folder).input("e\n").run(args).with_code(2).prints(&["--yes"]);
    assert_eq!(client(&server).number(&format!("XLEN {STREAM}")), 2);
}

#[test]
fn bad_input_names_its_line_and_changes_nothing() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let run = |input: &str, args: &str| {
        let args = format!("publish revoke --yes {args}");
        within(&server, &folder).input(input).run(&args).with_code(2)
    };
    let many = "a\n".repeat(5_000);
    run(&format!("{many}b c\n"), "--zone z --from-file -").prints(&["line 5001: expected one id"]);
    run("{\"sid\":\"a\"}\n{\"sid\":1}\n", "--zone z --from-file -").prints(&["line 2: not usable"]);
    run("a\n", "--from-file -").prints(&["line 1: no zone: pass --zone"]);
    run("", "--zone z --from-file -").prints(&["nothing to revoke"]);
    run("", "--zone z --from-file missing.txt").prints(&["--from-file missing.txt: "]);
    for conflict in ["--session a", "--application a", "--all"] {
        run("a\n", &format!("--zone z --from-file - {conflict}")).prints(&["cannot be used with"]);
    }
    run("", "--zone z --all --application a").prints(&["cannot be used with"]);
    run("", "--zone z --rate 0 --from-file -").prints(&["--rate"]);
    run("", "--zone z").prints(&["--session"]);
    assert_eq!(client(&server).number("DBSIZE"), 0);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn dry_run_counts_and_publishes_nothing() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), 3);
    let args = "publish revoke --zone z-1 --from-file ids.txt --dry-run";
    let shown = within(&server, &folder).run(args).with_code(0);
    shown.prints(&[
        "revoke ids.txt:\n  3 authority records, 0 sessions, 0 delegations\n  in 1 zone: z-1\n",
        "3 messages",
    ]);
    let run = within(&server, &folder).run(&format!("{args} --json")).with_code(0).object();
    assert_eq!((&run["messages"], &run["records"]), (&json!(3), &json!(3)));
    assert_eq!(run["postgres"], Value::Null);
    assert_eq!(run["revoke"][2], json!({"zone_id": "z-1", "session_id": "ar-2"}));
    let one = "publish revoke --zone z-1 --agent-session gs-1 --dry-run";
    within(&server, &folder).run(one).with_code(0).prints(&["0 authority records, 1 session"]);
    assert_eq!(client(&server).number("DBSIZE"), 0);
    assert_eq!(files(folder.path()), ["ids.txt"]);
}

#[test]
fn keeps_to_the_rate() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), 60);
    let args = "publish revoke --zone z-1 --from-file ids.txt --rate 20 --yes";
    within(&server, &folder).run(args).with_code(0);
    let redis::Value::Array(entries) = client(&server).run(&format!("XRANGE {STREAM} - +")) else {
        panic!("entries")
    };
    let millis = |entry: &redis::Value| {
        let redis::Value::Array(parts) = entry else { panic!("an entry") };
        let redis::Value::BulkString(id) = &parts[0] else { panic!("an id") };
        let id = std::str::from_utf8(id).unwrap();
        id.split_once('-').unwrap().0.parse::<u64>().unwrap()
    };
    let times: Vec<u64> = entries.iter().map(millis).collect();
    assert_eq!(times.len(), 60);
    // Two messages in each write, ten writes a second. The time until a write arrives varies.
    for window in times.windows(23) {
        assert!(window[22] - window[0] >= 900, "{window:?}");
    }
}

#[test]
fn fails_if_a_replica_does_not_apply_in_time() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let (_runtime, _replicas) = replicas(&server, &["gw-1"]);
    // The last receipt of a replica that hangs.
    let hung =
        r#"{"replica":"gw-9","ready":true,"staleness_seconds":1.5,"cursors":{},"applied":[]}"#;
    client(&server).run_with(&["SET", "caracal.revocation.receipt:gw-9", hung]);
    ids_file(folder.path(), 5);
    let args = "publish revoke --zone z-1 --from-file ids.txt --yes --timeout 1s";
    let run = within(&server, &folder).run(args).with_code(1);
    run.prints(&["published 5 messages", "only 1 of 2 applied", "behind: gw-9"]);
    client(&server).run("DEL caracal.revocation.receipt:gw-9");
    within(&server, &folder).run(args).with_code(0).prints(&["all 1 replica applied"]);
    let more = within(&server, &folder).run(&format!("{args} --expect 3")).with_code(1);
    more.prints(&["only 1 of 3 applied", "1 replica wrote a receipt"]);
}

#[test]
fn one_message_can_wait_for_the_replicas_too() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let (_runtime, replicas) = replicas(&server, &["gw-1"]);
    let args = "publish revoke --zone z-1 --session ar-1 --yes --timeout 1s";
    let short = within(&server, &folder).run(&format!("{args} --expect 2")).with_code(1);
    short.prints(&["published 1 message", "only 1 of 2 applied"]);
    let all = within(&server, &folder).run(&format!("{args} --expect 1")).with_code(0);
    all.prints(&["all 1 replica applied the last message"]);
    assert!(denies(&replicas[0], "ar-1"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn replica_with_another_key_has_not_applied_the_message() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    at(&server).run("provision").with_code(0);
    let (_runtime, _replicas) = replicas(&server, &["gw-1"]);
    let (_other, deaf) = replicas_with(&server, &["gw-2"], OTHER_KEY);
    at(&server).run("fleet --wait --expect 2").with_code(0);
    ids_file(folder.path(), 5);
    let args = "publish revoke --zone z-1 --from-file ids.txt --yes --timeout 1s";
    let run = within(&server, &folder).run(args).with_code(1);
    run.prints(&["only 1 of 2 applied", "read and not applied (another STREAMS_HMAC_KEY", "gw-2"]);
    assert!(!denies(&deaf[0], "ar-1"));
}

#[test]
fn names_a_group_that_loses_messages_by_trimming() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    at(&server).run("provision").with_code(0);
    // Shows that the key is right.
    at(&server).run("publish keys --zone z-1 --yes").with_code(0);
    at(&server).run("publish revoke --zone z-1 --session ar-1 --yes").with_code(0);
    client(&server).run(&format!("XREADGROUP GROUP sts-revocation c COUNT 1 STREAMS {STREAM} >"));
    // The stream becomes as long as producers let it be, and the group reads no more.
    let fill = format!("for i = 1, 100000 do redis.call('XADD', '{STREAM}', '*', 'a', 'b') end");
    client(&server).run_with(&["EVAL", &fill, "0"]);
    ids_file(folder.path(), 400);
    let args = "publish revoke --zone z-1 --from-file ids.txt --yes";
    let run = within(&server, &folder).run(&format!("{args} --json")).with_code(1).object();
    let lost = run["lost_by_group"]["sts-revocation"].as_u64().unwrap();
    assert!((100..=402).contains(&lost), "{run}");
    let text = within(&server, &folder).run(args).with_code(1);
    text.prints(&["group sts-revocation lost ", "the stream was trimmed before it read them"]);
    // A group that has read everything loses nothing.
    client(&server).run(&format!("XGROUP SETID {STREAM} sts-revocation $"));
    let run = within(&server, &folder).run(&format!("{args} --json")).with_code(0).object();
    assert_eq!(run["lost_by_group"], json!({}));
}

#[test]
fn wrong_key_publishes_nothing() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    at(&server).run("publish revoke --zone z-1 --session ar-9 --yes").with_code(0);
    ids_file(folder.path(), 5);
    let args = "publish revoke --zone z-1 --from-file ids.txt --yes";
    let wrong = within(&server, &folder).env("STREAMS_HMAC_KEY", OTHER_KEY).run(args).with_code(2);
    wrong
        .prints(&["STREAMS_HMAC_KEY: no message", "reject the revocations; nothing was published"]);
    assert_eq!(client(&server).number(&format!("XLEN {STREAM}")), 1);
    assert_eq!(files(folder.path()), ["ids.txt"]);
}

#[test]
fn file_beyond_the_limit_is_not_read_into_memory() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let file = std::fs::File::create(folder.path().join("ids.txt")).unwrap();
    file.set_len(1 << 40).unwrap();
    let args = "publish revoke --zone z-1 --from-file ids.txt --yes";
    within(&server, &folder).run(args).with_code(2).prints(&["ids.txt: over 256 MiB: split it"]);
}

#[test]
fn asks_and_shows_a_bar_in_a_terminal() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), 200);
    let ids = folder.path().join("ids.txt");
    let args = format!("publish revoke --zone z-1 --from-file {} --rate 100", ids.display());
    let terminal = Tmux::run(&server, &args, (120, 30));
    terminal.wait_for(&["Publish? [y/N]", "200 authority records"]);
    assert_eq!(client(&server).number(&format!("EXISTS {STREAM}")), 0);
    terminal.keys("y");
    terminal.keys("Enter");
    let bar = terminal.wait_for(&["[#####", "..]", "of 200, ", " left"]);
    assert_eq!(bar.matches("of 200").count(), 1, "one line, drawn again: {bar}");
    let end = terminal.wait_for(&["code=0.", "published 200 messages in"]);
    assert!(!end.contains("[####"), "the bar is removed: {end}");
    // A bar that wraps would be drawn below itself again and again.
    let terminal = Tmux::run(&server, &format!("{args} --yes"), (40, 30));
    let bar = terminal.wait_for(&["[###", "of 200, ", " left"]);
    assert_eq!(bar.matches("of 200").count(), 1, "one line, drawn again: {bar}");
    let end = terminal.wait_for(&["code=0.", "published 200 messages in"]);
    assert!(!end.contains("of 200"), "the bar is removed: {end}");
}
