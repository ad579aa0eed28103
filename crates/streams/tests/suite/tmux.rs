//! A real terminal: a session of tmux with a server of its own.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use caracal_test_support::terminal::DEADLINE;

use crate::program::KEY;
use crate::redis_server::RedisServer;

/// A terminal in which a command runs. It is ended when dropped.
pub(crate) struct Tmux(String);

impl Tmux {
    /// Runs the program in a terminal of this size. The terminal remains after the program's end,
    /// and then shows its exit code as `code=N.`
    pub(crate) fn run(server: &RedisServer, args: &str, (width, height): (u16, u16)) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tmux = Self(format!("caracal-{}-{number}", std::process::id()));
        let program = env!("CARGO_BIN_EXE_caracal-streams");
        let url = server.url();
        let run = format!("REDIS_URL={url} STREAMS_HMAC_KEY={KEY} '{program}' {args}");
        let command = format!("{run}; echo code=$?.; exec cat");
        let (width, height) = (width.to_string(), height.to_string());
        tmux.command(&["new-session", "-d", "-x", &width, "-y", &height, &command]);
        tmux
    }

    fn command(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-L", &self.0])
            .args(args)
            .output()
            .expect("tmux is installed (on Debian: apt-get install tmux)");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Returns the lines on the screen.
    pub(crate) fn screen(&self) -> String {
        self.command(&["capture-pane", "-p"])
    }

    /// Waits until the screen shows all these parts, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, parts: &[&str]) -> String {
        let begun = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if parts.iter().all(|part| screen.contains(part)) {
                return screen;
            }
            assert!(begun.elapsed() < DEADLINE, "never shown: {parts:?}\n{screen}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.command(&["resize-window", "-x", &width, "-y", &height]);
    }

    pub(crate) fn keys(&self, keys: &str) {
        self.command(&["send-keys", keys]);
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.0, "kill-server"]).output();
    }
}
