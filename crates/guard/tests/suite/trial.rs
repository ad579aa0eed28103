//! `caracal-guard try`: the printed commands, the self-check, and the choice of a port.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use caracal_test_support::child_guard::KillOnExit;
use tempfile::TempDir;

use crate::packages::repository;
use crate::programs::debian;
use crate::world::free_address;

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caracal-guard")).args(arguments).output().unwrap()
}

/// Returns a program whose output goes to the file `name` of a folder.
fn program(path: &str, folder: &TempDir, name: &str) -> Command {
    let out = File::create(folder.path().join(name)).unwrap();
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    command
}

fn start_trial(folder: &TempDir, arguments: &[&str]) -> KillOnExit {
    let mut command = program(env!("CARGO_BIN_EXE_caracal-guard"), folder, "trial");
    KillOnExit::spawn(command.arg("try").args(arguments)).unwrap()
}

/// Waits until a file contains this text, and returns the whole file.
fn wait_for(path: &Path, text: &str) -> String {
    let start = Instant::now();
    loop {
        let content = std::fs::read_to_string(path).unwrap();
        if content.contains(text) {
            return content;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no {text:?} in:\n{content}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn printed_commands_show_admission_cut_and_denial() {
    if debian("curl", "curl").is_none() {
        return;
    }
    let folder = TempDir::with_prefix("trial-").unwrap();
    let address = free_address().to_string();
    let _trial = start_trial(&folder, &["--listen", &address]);
    let trial = folder.path().join("trial");
    let guide = wait_for(&trial, "What happens here:");
    let commands: Vec<_> = guide.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 6, "{guide}");

    // Two curls run at once. They would write their progress, letter by letter, into each other's
    // errors.
    std::fs::write(folder.path().join(".curlrc"), "silent\nshow-error\n").unwrap();
    let errors = folder.path().join("errors");
    // The shell ends with its input.
    let mut shell = program("bash", &folder, "shell")
        .stdin(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .env("CURL_HOME", folder.path())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let shown = folder.path().join("shell");
    for (command, result) in commands.into_iter().zip([
        "",
        "hello, agent-1 (session-1)",
        "data: event 1",
        "",
        "revoked session-1",
        "\"error\":\"session_revoked\"",
    ]) {
        writeln!(input, "{command}").unwrap();
        wait_for(&shown, result);
    }
    // The stream ends with an event, and then breaks off, so that curl reports an error.
    wait_for(&errors, "curl: (18)");
    let shown = wait_for(&shown, "event: revoked");
    assert!(shown.contains("event: revoked\ndata: {\"reason\":\"revoked\""), "{shown}");
    assert!(shown.contains("HTTP/1.1 200 OK") && shown.contains("HTTP/1.1 401"), "{shown}");
    let happened = wait_for(&trial, "401      GET /");
    assert!(happened.contains("cut      event_stream: revoked, after "), "{happened}");
    drop(input);
    shell.wait().unwrap();
}

#[test]
fn self_check_passes() {
    let output = run(&["try", "--self-check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let results: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(results, ["200", "200", "200", "cut", "401", "Every"], "{text}");
    // The page shows the same steps, with other times.
    let page = std::fs::read_to_string(repository("docs/guard.md")).unwrap();
    for line in text.lines() {
        let step = line.split("  ").take(2).collect::<Vec<_>>().join("  ");
        assert!(page.contains(&step), "docs/guard.md does not show {step:?}");
    }
}

#[test]
fn trial_takes_free_port_if_usual_one_is_in_use() {
    let start = Instant::now();
    let _usual = loop {
        match TcpListener::bind("127.0.0.1:8080") {
            Ok(listener) => break listener,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let folder = TempDir::with_prefix("trial-").unwrap();
    let _trial = start_trial(&folder, &[]);
    let guide = wait_for(&folder.path().join("trial"), "What happens here:");
    assert!(guide.starts_with("Port 8080 is in use"), "{guide}");
    assert!(!guide.contains("127.0.0.1:8080"), "{guide}");
}

#[test]
fn trial_rejects_chosen_address_in_use() {
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = used.local_addr().unwrap().to_string();
    let output = run(&["try", "--self-check", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--listen") && error.contains(&address), "{error}");
}
