//! Files and programs of other projects, which this repository does not hold.
//!
//! Caracal publishes schemas and test vectors. A test reads them from the folder `shared/vectors`
//! next to the repository; where that folder is missing, the test prints `SKIPPED` and returns.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Returns the text of a file of Caracal. `None`, with a printed line, if there is no folder of
/// such files.
///
/// # Panics
///
/// Panics if the folder exists and the file cannot be read: its name may be misspelt.
pub fn caracal_file(name: &str) -> Option<String> {
    let folder = caracal_files();
    if !folder.is_dir() {
        skip(&format!("{name} of Caracal is needed in {}", folder.display()));
        return None;
    }
    let text = std::fs::read_to_string(folder.join(name));
    Some(text.unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Prints that a test, or a part of it, is skipped. The line is not captured with the output of the
/// test.
pub fn skip(reason: &str) {
    let line = format!("SKIPPED: {reason}\n");
    match std::io::stderr().write_all(line.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("standard error: {error}"),
        _ => {}
    }
}

/// Returns the folder next to the repository, whose root is two folders above this crate.
fn caracal_files() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3);
    beside.expect("the repository has a parent folder").join("shared/vectors")
}
