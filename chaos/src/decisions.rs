//! A baseline for tests: a file of every decision, written before the message goes to Redis.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use caracal_revocation::baseline::{Baseline, BaselineError, BaselineFact, BaselineFuture, Scope};

use crate::failure::Failure;

/// The writing side, for publishers.
pub struct Decisions {
    path: PathBuf,
    file: Mutex<File>,
}

/// The reading side, for readers.
#[derive(Debug)]
pub struct Decided(PathBuf);

impl Decisions {
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("decisions");
        Ok(Self { file: Mutex::new(File::create(&path)?), path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that this anchor is revoked, whether or not its message arrives.
    pub fn revoke(&self, anchor: &str) -> Result<(), Failure> {
        let line = format!("{anchor}\n");
        Ok(self.file.lock().expect("no thread panics here").write_all(line.as_bytes())?)
    }
}

impl Decided {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Baseline for Decided {
    fn read<'a>(
        &'a mut self,
        _: Scope,
        add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> BaselineFuture<'a> {
        let read = std::fs::read_to_string(&self.0);
        let read = read.map_err(|error| BaselineError::new("decisions", error.to_string()));
        Box::pin(std::future::ready(read.map(|text| {
            // A line that is not complete belongs to a message that was not sent yet.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().for_each(|anchor| add(&BaselineFact::Revoked(anchor)));
        })))
    }
}
