//! A process that does not outlive this one, however this one ends.

use std::io;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which comes when nobody is left to hold the other end.
const WATCH: &str = "read -r _; kill -9 \"$0\"";

/// A process, and a shell that kills it once this program is gone.
#[derive(Debug)]
pub struct Leashed {
    process: Child,
    watch: Child,
}

impl Leashed {
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

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// As by `kill -9`.
    pub fn kill(&mut self) -> io::Result<()> {
        // The shell first: once the process is gone, its number may be another's.
        self.watch.kill()?;
        self.watch.wait()?;
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_when_nobody_holds_its_leash() {
        let mut leashed = Leashed::spawn(Command::new("sleep").arg("60")).unwrap();
        assert!(!leashed.has_ended().unwrap());
        drop(leashed.watch.stdin.take());
        let status = leashed.process.wait().unwrap();
        assert_eq!(status.code(), None, "it was killed");
    }
}
