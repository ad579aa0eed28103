//! A baseline for tests: a file of every decision, written before the message goes to Redis.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use caracal_revocation::baseline::{Baseline, BaselineError, BaselineFact, BaselineFuture, Scope};
use caracal_revocation::wire::{DecidedAt, OccurredAt};

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
        self.record(&format!("revoked {anchor}"))
    }

    /// Records that the session is suspended.
    pub fn suspend(&self, session: &str, at: OccurredAt) -> Result<(), Failure> {
        let decided = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        self.record(&format!("suspended {session} {at} {decided}"))
    }

    /// Records that the session, which was suspended at this time, is resumed.
    pub fn resume(&self, session: &str, suspended: OccurredAt) -> Result<(), Failure> {
        self.record(&format!("resumed {session} {suspended}"))
    }

    /// Records that the zone's delegation graph has reached this epoch.
    pub fn epoch(&self, zone: &str, epoch: u64) -> Result<(), Failure> {
        self.record(&format!("epoch {zone} {epoch}"))
    }

    fn record(&self, line: &str) -> Result<(), Failure> {
        let line = format!("{line}\n");
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
            let resumed: HashSet<&str> = whole
                .lines()
                .filter_map(|line| line.strip_prefix("resumed ")?.split(' ').next())
                .collect();
            let facts = whole.lines().filter_map(|line| fact(line, &resumed));
            facts.for_each(|fact| add(&fact));
        })))
    }
}

/// Returns the fact in a line. A resume replaces the suspension of its session.
fn fact<'l>(line: &'l str, resumed: &HashSet<&str>) -> Option<BaselineFact<'l>> {
    let words: Vec<&str> = line.split(' ').collect();
    Some(match *words.as_slice() {
        ["revoked", anchor] => BaselineFact::Revoked(anchor),
        ["suspended", session, at, decided] if !resumed.contains(session) => {
            BaselineFact::Suspended {
                session,
                occurred: OccurredAt::parse(at)?,
                decided: DecidedAt::from_outbox_id(&outbox_id(decided.parse().ok()?)),
            }
        }
        ["resumed", session, at] => {
            BaselineFact::Resumed { session, suspended: OccurredAt::parse(at)? }
        }
        ["epoch", zone, epoch] => {
            BaselineFact::Epoch { zone, epoch: epoch.parse().ok()?, ended: false }
        }
        _ => return None,
    })
}

/// Returns a UUID of version 7 with this time in milliseconds.
fn outbox_id(decided: u64) -> String {
    format!("{:08x}-{:04x}-7000-8000-000000000000", decided >> 16, decided & 0xffff)
}
