//! Writes the snapshot at intervals, in a task that runs alongside the reading.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caracal_revocation_state::RevocationsWriter;
use tokio::task::JoinHandle;

use super::format::{Snapshot, SnapshotError};
use super::keeper::{Keeper, SETTING};
use super::position::{Boot, Position};
use caracal_revocation_state::internal::Episode;

/// The interval between two writes.
const EVERY: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Saver {
    keeper: Keeper,
    writer: Arc<RevocationsWriter>,
    /// The time of the next write, by the monotonic clock.
    next: Duration,
    writing: Option<JoinHandle<()>>,
    failures: Arc<Mutex<Episode<String>>>,
}

impl Saver {
    pub(crate) fn new(keeper: Keeper, writer: Arc<RevocationsWriter>) -> Self {
        Self { keeper, writer, next: Duration::ZERO, writing: None, failures: Arc::default() }
    }

    /// Writes a snapshot, if one is due and the last one is complete.
    pub(crate) fn offer(&mut self, position: impl FnOnce() -> Option<Position>) {
        let now = self.writer.now().monotonic;
        if now < self.next || self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        if let Some(position) = position() {
            self.next = now + EVERY;
            self.writing = Some(self.write(position));
        }
    }

    /// Writes a last snapshot, and waits until it is written.
    pub(crate) async fn finish(mut self, position: Option<Position>) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        if let Some(position) = position {
            let _ = self.write(position).await;
        }
    }

    fn write(&self, position: Position) -> JoinHandle<()> {
        let (keeper, writer) = (self.keeper.clone(), Arc::clone(&self.writer));
        let failures = Arc::clone(&self.failures);
        tokio::task::spawn_blocking(move || {
            // Taken after the cursors, so entries in between are read again later, which is
            // harmless.
            let state = writer.image();
            // Read before the other clocks: the process may be stopped in between, and the age of
            // the snapshot counts from here.
            let boot = Boot::now();
            let snapshot = Snapshot::new(position, writer.now(), boot, state);
            let kept = keeper.keep(&snapshot);
            report(&writer, &kept);
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            log(&mut failures, &kept, writer.now().monotonic);
        })
    }
}

/// Logs when attempts begin to fail, and when one succeeds again.
fn log(failures: &mut Episode<String>, kept: &Result<(), SnapshotError>, now: Duration) {
    match kept {
        Err(error) if failures.goes_on(error.to_string(), now) => tracing::error!(
            setting = SETTING, %error,
            "the snapshot cannot be written: a process that starts while Redis is away would know \
             no revocation; trying again"
        ),
        Ok(()) if failures.is_over(now) => {
            tracing::info!(setting = SETTING, "the snapshot is being written again");
        }
        _ => {}
    }
}

/// Reports the result of an attempt to status pages.
fn report(writer: &RevocationsWriter, kept: &Result<(), SnapshotError>) {
    let now = writer.now();
    writer.report(|report| {
        let report = report.snapshot.get_or_insert_default();
        report.error = kept.as_ref().err().map(ToString::to_string);
        if kept.is_ok() {
            report.written = Some(now);
        }
    });
}

#[cfg(test)]
mod tests {
    use caracal_revocation_event::KeyRing;

    use super::*;
    use crate::logged;

    #[tokio::test]
    async fn asks_for_no_position_until_the_last_snapshot_is_written() {
        let keeper = Keeper::new("/nowhere".into(), KeyRing::insecure_accept_unsigned());
        let writer = RevocationsWriter::new(caracal_revocation_state::Options::default());
        let mut saver = Saver::new(keeper, Arc::new(writer));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        saver.writing = Some(tokio::spawn(async { ended.await.unwrap() }));
        saver.offer(|| panic!("the last snapshot is not complete"));
        end.send(()).unwrap();
        while saver.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            tokio::task::yield_now().await;
        }
        let mut is_asked = false;
        saver.offer(|| {
            is_asked = true;
            None
        });
        assert!(is_asked);
    }

    #[test]
    fn failure_is_logged_once_and_reported_until_a_write_succeeds() {
        logged::begin();
        let writer = RevocationsWriter::new(caracal_revocation_state::Options::default());
        let mut failures = Episode::default();
        let key = || Err(SnapshotError::NoKey);
        for (kept, failed, recovered) in
            [(Ok(()), 0, 0), (key(), 1, 0), (key(), 1, 0), (Ok(()), 1, 1), (Ok(()), 1, 1)]
        {
            log(&mut failures, &kept, Duration::ZERO);
            let lines = ["the snapshot cannot be written", "the snapshot is being written again"];
            assert_eq!(lines.map(logged::count), [failed, recovered]);
            report(&writer, &kept);
            let reported = writer.follower().snapshot.unwrap();
            assert_eq!(reported.error, kept.err().map(|error| error.to_string()));
            assert!(reported.written.is_some());
        }
    }
}
