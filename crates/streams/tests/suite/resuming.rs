//! `publish revoke` is interrupted, and run again: in the end every anchor is revoked.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{at, client};
use crate::redis_server::RedisServer;
use crate::revoking_files::{STREAM, denies_all, files, ids_file, replicas, within};

const COUNT: usize = 3_000;
/// Ten writes a second, of 100 messages each.
const ARGS: &str = "publish revoke --zone z-1 --from-file ids.txt --rate 1000 --yes --json";

/// Starts the program, and waits until at least 500 messages are in the stream.
fn half_done(server: &RedisServer, folder: &TempDir, args: &str) -> Child {
    let mut child = within(server, folder).start(args);
    let mut client = client(server);
    let start = Instant::now();
    while client.number(&format!("XLEN {STREAM}")) < 500 {
        if let Some(ended) = child.try_wait().unwrap() {
            panic!("{ended}: {:?}", child.wait_with_output());
        }
        assert!(start.elapsed().as_secs() < 60, "nothing is published");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn number(run: &Value, name: &str) -> usize {
    usize::try_from(run[name].as_u64().unwrap()).unwrap()
}

/// Runs the same command again, and checks that it publishes the rest and only that.
#[track_caller]
fn publishes_the_rest(server: &RedisServer, folder: &TempDir) {
    let run = within(server, folder).run(ARGS).with_code(0).object();
    let (published, before) = (number(&run, "published"), number(&run, "already_published"));
    assert_eq!(published + before, COUNT, "{run}");
    assert!(before >= 400 && published > 0, "{run}");
    let length = client(server).number(&format!("XLEN {STREAM}"));
    // A write may be in the stream without being in the journal.
    assert!((COUNT..=COUNT + 100).contains(&usize::try_from(length).unwrap()), "{length}");
    assert_eq!(files(folder.path()), ["ids.txt"], "the journal is removed");
}

#[test]
fn publishes_the_rest_after_a_kill() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let (_runtime, replicas) = replicas(&server, &["gw-1"]);
    ids_file(folder.path(), COUNT);
    let mut child = half_done(&server, &folder, ARGS);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files(folder.path()).len(), 2, "the journal stays");
    publishes_the_rest(&server, &folder);
    denies_all(&replicas[0], (0..COUNT).map(|index| format!("ar-{index}")));
}

#[test]
fn interrupt_tells_how_to_publish_the_rest() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), COUNT);
    let child = half_done(&server, &folder, ARGS);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("Run the same command again") && text.contains(".journal"), "{text}");
    let dry = within(&server, &folder).run(&format!("{ARGS} --dry-run")).with_code(0).object();
    assert!(number(&dry, "already_published") >= 400, "{dry}");
    publishes_the_rest(&server, &folder);
}

#[test]
fn failure_of_redis_tells_how_to_publish_the_rest() {
    let (mut server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), COUNT);
    let child = half_done(&server, &folder, ARGS);
    server.kill();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("could not be published"), "{text}");
    assert!(text.contains("Run the same command again"), "{text}");
    server.restart();
    let run = within(&server, &folder).run(ARGS).with_code(0).object();
    assert_eq!(number(&run, "published") + number(&run, "already_published"), COUNT, "{run}");
    let (_runtime, replicas) = replicas(&server, &["gw-1"]);
    denies_all(&replicas[0], (0..COUNT).map(|index| format!("ar-{index}")));
}

#[test]
fn journal_that_cannot_be_written_stops_no_revocation() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), COUNT);
    let args: Vec<_> = ARGS.split(' ').collect();
    // The shell limits the size of files, as a full disk does.
    let run = |blocks: u32, args: &[&str]| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_caracal-streams")]).args(args);
        command.current_dir(folder.path()).env_clear().env("HOME", "/nonexistent");
        command.env("REDIS_URL", server.url()).env("STREAMS_HMAC_KEY", crate::program::KEY);
        command.output().unwrap()
    };
    let output = run(8, &args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.matches("going on without it").count(), 1, "{text}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&report, "published"), COUNT, "{report}");
    assert_eq!(files(folder.path()), ["ids.txt"], "the journal is removed");
    // Before the first message, the operator can still name another file.
    let before = client(&server).number(&format!("XLEN {STREAM}"));
    let output = run(0, &args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("pass --journal FILE"), "{text}");
    assert_eq!(client(&server).number(&format!("XLEN {STREAM}")), before);
    assert_eq!(files(folder.path()), ["ids.txt"], "no empty journal stays");
}

#[test]
fn publishes_all_again_if_redis_has_lost_messages() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), COUNT);
    let mut child = half_done(&server, &folder, ARGS);
    child.kill().unwrap();
    child.wait().unwrap();
    client(&server).run("FLUSHALL");
    // Newer messages do not hide the loss.
    at(&server).run("publish revoke --zone z-1 --session other --yes").with_code(0);
    let run = within(&server, &folder).run(ARGS).with_code(0);
    assert!(run.err.contains("publishing everything again"), "{}", run.err);
    assert_eq!(number(&run.object(), "published"), COUNT);
}

#[test]
fn refuses_the_journal_of_another_input() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    ids_file(folder.path(), COUNT);
    let args = format!("{ARGS} --journal mine.journal");
    let mut child = half_done(&server, &folder, &args);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = client(&server).number(&format!("XLEN {STREAM}"));
    let journal = std::fs::read(folder.path().join("mine.journal")).unwrap();
    let refused = |args: &str, why: &str| {
        let run = within(&server, &folder).run(args).with_code(2);
        run.prints(&["--journal mine.journal", why]);
    };
    refused(&args.replace("--zone z-1", "--zone z-2"), "the journal of another input");
    refused(&format!("{args} --reason other"), "the journal of another input");
    let other = RedisServer::start();
    let run = within(&other, &folder).run(&args).with_code(2);
    run.prints(&["--journal mine.journal", "the journal of another server"]);
    ids_file(folder.path(), COUNT + 1);
    refused(&args, "the journal of another input");
    assert_eq!(client(&server).number(&format!("XLEN {STREAM}")), before);
    assert_eq!(client(&other).number("DBSIZE"), 0);
    assert_eq!(std::fs::read(folder.path().join("mine.journal")).unwrap(), journal);
    ids_file(folder.path(), COUNT);
    within(&server, &folder).run(&args).with_code(0);
}
