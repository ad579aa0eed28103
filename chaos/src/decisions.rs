//! A second source of truth: a file of all that was ever decided, written before Redis is told.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use caracal_revocation::baseline::{Baseline, BaselineError, BaselineFact, BaselineFuture, Scope};

use crate::failure::Failure;

/// What publishers write.
pub struct Decisions {
    path: PathBuf,
    file: Mutex<File>,
}

/// What readers read.
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

    /// This anchor is revoked, whatever becomes of the message.
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
            // Of a line that is being written, Redis has not been told.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().for_each(|anchor| add(&BaselineFact::Revoked(anchor)));
        })))
    }
}
