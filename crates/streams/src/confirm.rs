//! Asks before something is changed.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether to go on: `yes` was said by flag, or is said now. Where nobody can be asked and no
/// flag was given, the answer is a failure.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new("nobody can be asked here: say --yes to go on"));
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
