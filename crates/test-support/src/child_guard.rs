//! Child processes that end when this process ends, even if it is killed.

use std::io;
use std::process::{Child, Command, Stdio};

/// A shell script that kills the process `$0` once the shell's input ends, which happens when this
/// process ends.
const WATCH: &str = "read -r _; kill -9 \"$0\"";

/// A child process, and a shell that kills it when this process ends.
#[derive(Debug)]
pub struct KillOnExit {
    process: Child,
    watch: Child,
}

impl KillOnExit {
    /// Starts the process and the shell.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command.spawn()?;
        let watch = Command::new("sh")
            .args(["-c", WATCH, &process.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watch {
            Ok(watch) => Ok(Self { process, watch }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(error)
            }
        }
    }

    /// Returns the id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns `true` if the process has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Kills the process as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) -> io::Result<()> {
        // The shell first: once the process is gone, its id may belong to another process.
        self.watch.kill()?;
        self.watch.wait()?;
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for KillOnExit {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Sends a signal, such as `-STOP`, to a process.
pub fn signal(process: u32, signal: &str) -> io::Result<()> {
    let status = Command::new("kill").arg(signal).arg(process.to_string()).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("kill {signal} {process} failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_process_when_input_of_shell_ends() {
        let mut guarded = KillOnExit::spawn(Command::new("sleep").arg("60")).unwrap();
        assert!(!guarded.has_ended().unwrap());
        drop(guarded.watch.stdin.take());
        let status = guarded.process.wait().unwrap();
        assert_eq!(status.code(), None, "it was killed");
    }
}
