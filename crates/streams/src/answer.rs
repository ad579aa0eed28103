//! How the program ends, when it could do what it was asked.

use std::process::ExitCode;

/// What a command found; what it could not find out is a [`Failure`], and exit code 2.
///
/// [`Failure`]: crate::failure::Failure
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// Exit code 0: as it should be, or done.
    Fine,
    /// Exit code 1: not quite, or "no".
    Not,
    /// Exit code 2: broken.
    Broken,
    /// Ended by this signal, after cleaning up: the exit code that a shell gives such an end.
    Signal(u8),
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(match answer {
            Answer::Fine => 0,
            Answer::Not => 1,
            Answer::Broken => 2,
            Answer::Signal(number) => 128 + number,
        })
    }
}
