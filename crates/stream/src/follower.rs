//! The follower: reads every stream from its own cursor, and keeps the state current.

use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::KeyRing;
use caracal_revocation_state::{Options, Revocations, RevocationsWriter};
use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::baseline::{self, Baseline, ReadRequests, Reloads};
use crate::dead_letters;
use crate::fold::Fold;
use crate::in_process::InProcess;
use crate::log::Log;
use crate::reading::read_for_ever;
use crate::receipts::{self, Progress};
use crate::redis_log::RedisLog;
use crate::reloading::{self, NewLogs, Reload, ReloadTask};
use crate::reported_run::ReportedRun;
use crate::settings::{Mode, Settings, SettingsError};
use crate::snapshot::{self, Keeper, RestoredSnapshot, Saver};
use crate::topology::{Topology, Upstream};

/// The longest time for which a shutdown waits for dead letters to be written.
const LAST_LETTERS_DEADLINE: Duration = Duration::from_secs(2);

const RELOAD_EVERY: Duration = Duration::from_secs(5 * 60);

/// Reads Caracal's streams and keeps a [`Revocations`] current.
///
/// Every process follows the streams itself, by plain `XREAD` on its own connection. There is no
/// consumer group that could be shared by mistake or lost. The user of Redis needs the rights of
/// [`acl::FOLLOWER`](crate::acl::FOLLOWER).
///
/// ```no_run
/// use caracal_revocation_stream::Follower;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let revocations = Follower::from_env()?.spawn(); // REDIS_URL, STREAMS_HMAC_KEY
/// revocations.ready().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a follower does nothing until it runs: call spawn or run"]
pub struct Follower {
    origin: Origin,
    keys: KeyRing,
    writer: RevocationsWriter,
    baseline: Option<Box<dyn Baseline>>,
    reload_every: Duration,
    /// The name of this replica in its receipts.
    replica: Option<Box<str>>,
    /// Asks the task that reads the baseline.
    baseline_requests: ReadRequests,
    reloads: Reloads,
    reload: Reload,
    reload_task: ReloadTask,
    snapshot: Option<PathBuf>,
    restored: Option<RestoredSnapshot>,
}

/// The location of the streams.
#[derive(Debug)]
enum Origin {
    Redis(Box<Settings>),
    InProcess(InProcess),
}

impl Follower {
    /// Creates a follower from the environment; see [`Settings`].
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the setting that is missing or cannot be used. A missing address is
    /// an error too: there is no default.
    pub fn from_env() -> Result<Self, SettingsError> {
        Settings::from_env().map(Self::new)
    }

    /// Creates a follower with these settings.
    pub fn new(settings: Settings) -> Self {
        if !settings.keys.verifies() {
            tracing::warn!(
                setting = "STREAMS_HMAC_KEY",
                "CARACAL_MODE=dev without a stream key: every message is accepted, signed or not"
            );
        }
        let (options, keys) = (settings.options, settings.keys.clone());
        let snapshot = settings.snapshot.clone();
        let follower = Self::of(Origin::Redis(Box::new(settings)), keys);
        Self { snapshot, ..follower.with_writer(RevocationsWriter::new(options)) }
    }

    /// Creates a follower of streams inside this process.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if `CARACAL_MODE` is set to a published mode.
    pub fn in_process(streams: &InProcess, keys: KeyRing) -> Result<Self, SettingsError> {
        // A mode that is not UTF-8 is an error, as any unknown mode.
        let variable = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
        Self::in_process_with(streams, keys, variable)
    }

    fn in_process_with(
        streams: &InProcess,
        keys: KeyRing,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        // An unset mode counts as published for a service that finds its streams by configuration.
        // Here the program's own code chose the streams, so only a mode that is set counts.
        let is_set = lookup("CARACAL_MODE").is_some_and(|mode| !mode.trim().is_empty());
        if is_set && Mode::from_lookup(lookup)? != Mode::Dev {
            return Err(SettingsError::in_process());
        }
        tracing::warn!("following streams inside this process: messages in Redis are not read");
        Ok(Self::of(Origin::InProcess(streams.clone()), keys))
    }

    fn of(origin: Origin, keys: KeyRing) -> Self {
        let (baseline_requests, reloads) = baseline::channel();
        let (reload, reload_task) = reloading::channel(baseline_requests.clone());
        Self {
            origin,
            keys,
            writer: RevocationsWriter::new(Options::default()),
            baseline: None,
            reload_every: RELOAD_EVERY,
            replica: None,
            baseline_requests,
            reloads,
            reload,
            reload_task,
            snapshot: None,
            restored: None,
        }
    }

    /// Updates this state instead of a new one, for example to use other options or another clock.
    ///
    /// A state has exactly one follower, which owns its writer:
    ///
    /// ```compile_fail,E0382
    /// use caracal_revocation_state::{Options, RevocationsWriter};
    /// use caracal_revocation_stream::{Follower, Settings};
    /// # fn two(settings: Settings) {
    /// let writer = RevocationsWriter::new(Options::default());
    /// let one = Follower::new(settings.clone()).with_writer(writer);
    /// let other = Follower::new(settings).with_writer(writer);
    /// # }
    /// ```
    pub fn with_writer(mut self, writer: RevocationsWriter) -> Self {
        self.writer = writer;
        self
    }

    /// Saves the state to this file, sealed with the stream key, and restores it at the start.
    /// After a restart, revoked tokens are denied at once, even while Redis is down.
    ///
    /// The restored view is as fresh as the last proof in the file, until the streams were read
    /// again from their first entry. A stream that does not continue where the file ends has a gap;
    /// entries trimmed before that point are no gap. A file that is damaged or not sealed with an
    /// accepted key is logged and ignored.
    pub fn with_snapshot(mut self, path: impl Into<PathBuf>) -> Self {
        self.snapshot = Some(path.into());
        self
    }

    /// Adds a second source of truth, which is read at the start, after the first replay, after every
    /// loss, on a schedule, and when a [`Reload`] asks for it. It closes gaps in the streams, and only adds to the
    /// state.
    pub fn with_baseline(mut self, baseline: impl Baseline + 'static) -> Self {
        self.baseline = Some(Box::new(baseline));
        self
    }

    /// Sets the interval at which new facts of the baseline are read; 5 minutes by default.
    pub const fn with_reload_every(mut self, every: Duration) -> Self {
        self.reload_every = every;
        self
    }

    /// Writes receipts under this name, which must be unique among the replicas. A receipt reports
    /// the position of this replica, so that `caracal-streams fleet` can check whether all replicas
    /// have applied a message.
    ///
    /// The user of Redis then needs the rights of [`acl::RECEIPTS`](crate::acl::RECEIPTS) too. A
    /// follower of streams inside the process writes no receipts.
    pub fn with_receipts(mut self, replica: &str) -> Self {
        self.replica = Some(replica.into());
        self
    }

    /// Returns a handle that asks the running follower to read everything again, or its baseline.
    #[must_use]
    pub fn reload_handle(&self) -> Reload {
        self.reload.clone()
    }

    /// Returns the state that this follower keeps current.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        self.writer.reader()
    }

    /// Starts the follower as a task of the current tokio runtime, and returns the state at once.
    /// Every verdict is unknown until the history is replayed; [`Revocations::ready`] waits for
    /// that.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(mut self) -> Revocations {
        // Restored before the state can be read.
        self.restore();
        let revocations = self.revocations();
        tokio::spawn(self.run(pending()));
        revocations
    }

    /// Follows until `shutdown` completes. Does not end before that: while Redis is down, the
    /// follower retries and the state becomes stale.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        if let Err(error) = self.writer.options().check() {
            tracing::error!(
                %error,
                "the staleness bound is too small: nearly every request is denied; raise it"
            );
        }
        self.restore();
        let keeper = self.snapshot.take().map(|path| Keeper::new(path, self.keys.clone()));
        let writer = Arc::new(self.writer);
        let has_baseline = self.baseline.is_some();
        let _report = ReportedRun::begin(&writer, has_baseline, keeper.is_some());
        self.reload_task.begins(&writer, has_baseline);
        let baseline_requests = has_baseline.then_some(self.baseline_requests);
        let saver = keeper.map(|keeper| Saver::new(keeper, Arc::clone(&writer)));
        // These tasks end with this future.
        let mut tasks = JoinSet::new();
        match self.baseline {
            Some(baseline) => {
                let writer = Arc::clone(&writer);
                tasks.spawn(self.reloads.run(baseline, writer, self.reload_every));
            }
            // Dropped, so that a request for a reload fails: there is no baseline.
            None => drop(self.reloads),
        }
        let (dead_letters, queue) = dead_letters::queue();
        let key = self.keys.signing_key().cloned();
        let receipts =
            self.replica.map(|replica| (replica, Arc::new(Progress::new()), writer.reader()));
        let progress = receipts.as_ref().map(|(_, progress, _)| Arc::clone(progress));
        let (reload_keys, reload_writer) = (self.keys.clone(), Arc::clone(&writer));
        let mut fold = Fold::new(writer, self.keys, dead_letters).with_progress(progress);
        fold.resume(self.restored);
        match self.origin {
            Origin::Redis(settings) => {
                let (topology, primary) = (settings.topology, settings.primary);
                // Letters need writes, and a replica accepts none.
                let writable = match &primary {
                    Some(primary) => Topology::One(Box::new(primary.clone())),
                    None => topology.clone(),
                };
                if let Some((replica, progress, revocations)) = receipts {
                    let topology = writable.clone();
                    let writer = receipts::Writer { topology, replica, progress, revocations };
                    tasks.spawn(writer.run());
                }
                let writing = dead_letters::write_letters(writable, key, queue);
                let upstreams =
                    Upstream::all(&topology, &settings.certificates, fold.revocations());
                let is_split = upstreams.len() > 1;
                let required_on = settings.mode.requires_streams().then(|| topology.place());
                let log = |upstream| {
                    RedisLog::new(upstream, primary.clone(), settings.insecure_unproven)
                        .bounded_by(fold.revocations().clone())
                        .read_every(settings.read_interval)
                };
                let logs = upstreams.into_iter().map(log).collect();
                let new_logs = reloading::redis_logs(
                    topology,
                    settings.certificates,
                    settings.insecure_unproven,
                    fold.revocations().clone(),
                );
                let reloading =
                    self.reload_task.run(new_logs, reload_keys, reload_writer, baseline_requests);
                tasks.spawn(reloading);
                let fold = fold.split(is_split).requiring_streams(required_on);
                follow_and_write_letters(writing, follow(logs, fold, saver, shutdown)).await;
            }
            Origin::InProcess(streams) => {
                let again = streams.clone();
                let new_logs: NewLogs<_> = Box::new(move || vec![again.clone()]);
                let reloading =
                    self.reload_task.run(new_logs, reload_keys, reload_writer, baseline_requests);
                tasks.spawn(reloading);
                follow_and_write_letters(queue.log(), follow(vec![streams], fold, saver, shutdown))
                    .await;
            }
        }
    }
}

impl Follower {
    /// Restores the state from the snapshot once, before its first use.
    fn restore(&mut self) {
        // rule: snapshot-is-restored
        let Some(path) = self.snapshot.as_ref().filter(|_| self.restored.is_none()) else { return };
        match Keeper::new(path.clone(), self.keys.clone()).restore(&self.writer) {
            Ok(Some(restored)) => {
                let entries = self.writer.entries();
                tracing::info!(
                    entries,
                    "the snapshot is restored: the tokens that it revokes are denied at once"
                );
                if let Some(as_of) = restored.as_of {
                    self.writer.confirm(as_of);
                }
                self.writer
                    .report(|report| report.snapshot.get_or_insert_default().was_restored = true);
                self.restored = Some(restored);
            }
            Ok(None) => tracing::info!(setting = snapshot::SETTING, "there is no snapshot yet"),
            Err(error) => {
                let text = error.to_string();
                self.writer
                    .report(|report| report.snapshot.get_or_insert_default().error = Some(text));
                tracing::error!(
                    setting = snapshot::SETTING, path = %path.display(), %error,
                    "the snapshot is not used: the follower starts without it and reads the streams"
                );
            }
        }
    }
}

/// Follows while dead letters are written. At the end, waits a limited time for the remaining
/// letters.
async fn follow_and_write_letters(
    writing: impl Future<Output = ()>,
    following: impl Future<Output = ()>,
) {
    let mut writing = pin!(writing.fuse());
    {
        let mut following = pin!(following);
        tokio::select! {
            biased;
            () = &mut following => {}
            // The follower keeps the queue open, so this is not expected.
            () = &mut writing => following.await,
        }
    }
    let _ = tokio::time::timeout(LAST_LETTERS_DEADLINE, writing).await;
}

async fn follow(
    logs: Vec<impl Log>,
    mut fold: Fold,
    mut saver: Option<Saver>,
    shutdown: impl Future<Output = ()>,
) {
    let reporting = fold.reporter().run();
    tokio::select! {
        biased;
        () = read_for_ever(logs, &mut fold, &mut saver, shutdown) => {}
        // Never ends.
        () = reporting => {}
    }
    if let Some(saver) = saver {
        saver.finish(fold.position()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caracal_revocation_event::Key;

    #[test]
    fn published_mode_rejects_streams_inside_the_process() {
        let keys = || KeyRing::new(Key::generate().unwrap());
        for mode in ["rc", "stable"] {
            let follower = Follower::in_process_with(&InProcess::new(), keys(), |name| {
                (name == "CARACAL_MODE").then(|| mode.to_owned())
            });
            assert_eq!(follower.unwrap_err().setting(), "CARACAL_MODE");
        }
        assert!(Follower::in_process_with(&InProcess::new(), keys(), |_| None).is_ok());
        assert!(
            Follower::in_process_with(&InProcess::new(), keys(), |_| Some("dev".into())).is_ok()
        );
    }
}
