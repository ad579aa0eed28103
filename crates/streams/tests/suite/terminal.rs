//! The program in a terminal: it asks for confirmation, and `watch` uses the whole screen.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::program::{KEY, at, client};
use crate::redis_server::RedisServer;

/// Runs the program in a terminal of 132 by 34. Types `keys` once all of `awaited` was shown, and
/// again until the program ends. Returns its exit code and its output.
fn in_terminal(server: &RedisServer, args: &str, awaited: &[&str], keys: &str) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_caracal-streams");
    let mut child = Command::new("script")
        .args(["-qec", &format!("stty rows 34 cols 132; exec '{program}' {args}"), "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed (on Debian: apt-get install bsdutils)");
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let shown = Mutex::new(String::new());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code().unwrap();
            }
            let is_shown = |part: &&str| shown.lock().unwrap().contains(*part);
            if awaited.iter().all(is_shown) {
                // Input after the program's end has no effect.
                let _ = keyboard.write_all(keys.as_bytes());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        reader.join().unwrap();
        (code, shown.lock().unwrap().clone())
    })
}

#[test]
fn confirms_in_a_terminal_and_accepts_no() {
    let server = RedisServer::start();
    let publish = "publish revoke --zone z-1 --session ar-1";
    let (code, shown) = in_terminal(&server, publish, &["Publish? [y/N]"], "n\n");
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("revoke ar-1"), "{shown}");
    assert_eq!(client(&server).number("EXISTS caracal.sessions.revoke"), 0);
    let (code, shown) = in_terminal(&server, publish, &["Publish? [y/N]"], "y\n");
    assert_eq!(code, 0, "{shown}");
    assert_eq!(client(&server).number("XLEN caracal.sessions.revoke"), 1);
}

#[test]
fn watch_uses_and_restores_the_screen() {
    let server = RedisServer::start();
    at(&server).run("publish --yes revoke --zone z-1 --session ar-77").with_code(0);
    client(&server).run("XADD caracal.keys.invalidate * zone_id z-1");
    let parts = ["caracal-streams watch", "staleness", "horizon", "ar-77", "REJECTED", "live"];
    let ended = AtomicBool::new(false);
    let (code, shown) = std::thread::scope(|scope| {
        // The streams are never idle; the view must still become live.
        scope.spawn(|| {
            let mut client = client(&server);
            while !ended.load(Ordering::Relaxed) {
                client.run("XADD caracal.keys.invalidate * zone_id z-1");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let run = in_terminal(&server, "watch --since 1h", &parts, "q");
        ended.store(true, Ordering::Relaxed);
        run
    });
    assert_eq!(code, 0, "{shown}");
    let (taken, given_back) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
    assert!(shown.contains(taken) && shown.trim_end().contains(given_back), "{shown}");
}

/// Runs the view in a terminal and ends it with this signal. Returns the terminal's later output:
/// the exit code and the settings.
fn ended_by(server: &RedisServer, signal: &str) -> String {
    let program = env!("CARGO_BIN_EXE_caracal-streams");
    let inner = format!("echo pid=$$.; exec '{program}' watch");
    let outer = format!("stty rows 34 cols 132; sh -c \"{inner}\"; echo code=$?.; stty -a");
    let mut child = Command::new("script")
        .args(["-qec", &outer.replace("$$", "\\$\\$"), "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed (on Debian: apt-get install bsdutils)");
    let mut screen = child.stdout.take().unwrap();
    let (mut shown, mut piece) = (String::new(), [0; 4_096]);
    let mut is_sent = false;
    while let Ok(read @ 1..) = screen.read(&mut piece) {
        shown.push_str(&String::from_utf8_lossy(&piece[..read]));
        // The view is drawn four times a second, so this text appears soon.
        if !is_sent && shown.contains("live") {
            let pid = shown.split_once("pid=").unwrap().1.split_once('.').unwrap().0;
            assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
            is_sent = true;
        }
    }
    child.wait().unwrap();
    let (view, after) = shown.split_once("code=").expect("the view ended");
    assert!(view.contains("\u{1b}[?1049l"), "the screen is restored");
    after.to_owned()
}

#[test]
fn signal_restores_the_terminal() {
    let server = RedisServer::start();
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130), ("-QUIT", 131)] {
        let after = ended_by(&server, signal);
        assert!(after.starts_with(&format!("{code}.")), "{signal}: {after}");
        let modes: Vec<_> = after.split([' ', ';', '\r', '\n']).collect();
        for mode in ["icanon", "echo", "isig", "opost"] {
            assert!(modes.contains(&mode), "{signal}: {mode} is off: {after}");
        }
    }
}
