//! The guard as a process.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caracal_test_support::child_guard::{KillOnExit, signal};
use tempfile::TempDir;

use crate::exchange::get;
use crate::world::free_address;

/// A running guard. It is killed when dropped; its log is printed if the test fails.
pub(crate) struct Guard {
    process: KillOnExit,
    pub(crate) operations: SocketAddr,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Guard {
    /// Starts the program and waits until `/ready` answers 200.
    pub(crate) async fn start(environment: &[(&'static str, String)], arguments: &[&str]) -> Self {
        let guard = Self::launch(environment, arguments);
        guard.ready().await;
        guard
    }

    /// Starts the program without waiting.
    pub(crate) fn launch(environment: &[(&'static str, String)], arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("guard-").unwrap();
        let operations = free_address();
        let mut all: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        all.extend(["--operations".to_owned(), operations.to_string()]);
        let environment = environment.to_vec();
        let process = spawn(&folder, &environment, &all);
        Self { process, operations, environment, arguments: all, folder }
    }

    pub(crate) async fn ready(&self) {
        let start = Instant::now();
        while !get(self.operations, "/ready").await.is_some_and(|text| text.contains(" 200 ")) {
            assert!(start.elapsed() < Duration::from_secs(60), "the guard is not ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills the process at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Sends a signal such as `STOP`, `CONT`, `TERM` or `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), &format!("-{name}")).unwrap();
    }

    /// Stops the process as `kill -STOP` does, and waits until no thread of it runs.
    pub(crate) async fn freeze(&self) {
        self.signal("STOP");
        let start = Instant::now();
        while !is_stopped(self.id()) {
            assert!(start.elapsed() < Duration::from_secs(60), "the guard still runs");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Starts the program again with the same arguments, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        let _ = self.process.kill();
        self.process = spawn(&self.folder, &self.environment, &self.arguments);
        self.ready().await;
    }

    /// Returns `true` once the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.has_ended().unwrap()
    }

    /// Waits until the process has ended by itself, and returns its log.
    pub(crate) async fn ended(mut self) -> String {
        let start = Instant::now();
        while !self.has_ended() {
            assert!(start.elapsed() < Duration::from_secs(30), "still running");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.log()
    }

    /// Returns the log up to now.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Returns the value of a metric: the first line that begins with this text.
    pub(crate) async fn metric(&self, start: &str) -> Option<f64> {
        let text = get(self.operations, "/metrics").await?;
        let line = text.lines().find(|line| line.starts_with(start))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the guard's log:\n{}", self.log());
        }
    }
}

/// Returns `true` if every thread of the process is in state `T`.
fn is_stopped(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let text = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in brackets.
        text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

fn spawn(folder: &TempDir, environment: &[(&str, String)], arguments: &[String]) -> KillOnExit {
    let path = folder.path().join("log");
    let log = File::options().create(true).append(true).open(path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_caracal-guard"));
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    KillOnExit::spawn(&mut command).unwrap()
}
