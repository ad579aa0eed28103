//! Standard output and standard error, whose readers may be gone, and questions to the operator.

use std::io::{BufRead, BufWriter, ErrorKind, IsTerminal, Result, StdoutLock, Write};

use crate::outcome::Failure;

/// Writes to standard output. Once its reader is gone, discards further output: the outcome of a
/// command does not depend on the reader.
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: BufWriter::new(std::io::stdout().lock()), is_closed: false }
    }

    /// Returns `true` if the reader is gone. A command that waits for data to write ends then.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed || has_no_reader()
    }

    fn through<T>(&mut self, written: Result<T>, otherwise: T) -> Result<T> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(otherwise)
            }
            written => written,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let written = self.stdout.write(bytes);
        self.through(written, bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.stdout.flush();
        self.through(flushed, ())
    }
}

/// Returns `true` if standard output is a pipe whose reader is gone.
#[cfg(unix)]
fn has_no_reader() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::ERR | PollFlags::HUP;
    poll(&mut polled, Some(&at_once)).is_ok()
        && polled.iter().any(|polled| polled.revents().intersects(gone))
}

#[cfg(not(unix))]
const fn has_no_reader() -> bool {
    false
}

/// Writes a line to standard error, and ignores a missing reader.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Asks the operator to confirm a change. Returns `true` if the answer is yes or the flag `yes` is
/// set.
///
/// Fails if standard input is not a terminal and the flag is not set.
pub(crate) fn confirm(question: &str, yes: bool) -> std::result::Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new("not a terminal; pass --yes to confirm"));
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
