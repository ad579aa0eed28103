use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing, MessageBuilder, Stream, StreamId};
use caracal_revocation_state::{
    BaselineFact, Options, OutageCause, ReloadObstacle, ReloadReport, ReloadStart,
    RevocationsWriter,
};
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::*;
use crate::baseline::{self, Baseline, BaselineError, BaselineFuture, Scope};
use crate::entry::PerStream;
use crate::in_process::InProcess;
use crate::log::{Log, Reading};
use crate::log_error::LogError;
use crate::publisher::Publisher;

/// Streams whose reads wait for a permit, and fail without one if it is closed.
#[derive(Clone, Debug)]
struct Gated {
    streams: InProcess,
    permits: Arc<Semaphore>,
    /// The number of reads.
    reads: Arc<AtomicU64>,
    /// One stream is read at a time, as from a server that cuts large answers.
    is_narrow: bool,
    /// Adds a message before each answer, as a writer that is faster than the reader.
    flood: Option<Key>,
}

impl Log for Gated {
    async fn open(&mut self) -> Result<Duration, LogError> {
        self.streams.open().await
    }

    async fn read(
        &mut self,
        cursors: &PerStream<StreamId>,
        wait: Option<Duration>,
    ) -> Result<Reading, LogError> {
        let permit = self.permits.acquire().await.map_err(|_| LogError::Replaced)?;
        permit.forget();
        let nth = self.reads.fetch_add(1, Ordering::Relaxed);
        let mut reading = self.streams.read(cursors, wait).await?;
        if self.is_narrow {
            let one = usize::try_from(nth).unwrap() % Stream::ALL.len();
            let keep = |index: usize| index == one;
            for index in 0..Stream::ALL.len() {
                reading.streams[index] = keep(index);
                reading.drained[index] = keep(index);
                reading.heads[index] = reading.heads[index].filter(|_| keep(index));
            }
            reading.entries.retain(|entry| keep(entry.stream.index()));
        }
        if let Some(key) = &self.flood {
            let more = MessageBuilder::revoke("z-1", "test").session(&format!("more-{nth}"));
            let publisher = Publisher::in_process(&self.streams, Some(key.clone()));
            publisher.publish(more).await.unwrap();
            // The answer has one entry, and more follow.
            reading.drained = Default::default();
            reading.entries.truncate(1);
        }
        Ok(reading)
    }
}

/// A baseline with one fact.
#[derive(Debug)]
struct OneFact(Result<(), BaselineError>);

impl Baseline for OneFact {
    fn read<'a>(
        &'a mut self,
        _: Scope,
        add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> BaselineFuture<'a> {
        add(&BaselineFact::Revoked("known-to-the-baseline"));
        let outcome = self.0.clone();
        Box::pin(async { outcome })
    }
}

/// A state, a reload task for it, and streams with one revocation that the state lacks.
struct Scene {
    writer: Arc<RevocationsWriter>,
    log: Gated,
    key: Key,
    reload: Reload,
    task: Option<ReloadTask>,
    baseline: Option<baseline::Reloads>,
    requests: baseline::ReadRequests,
}

impl Scene {
    async fn new() -> Self {
        let key = Key::generate().unwrap();
        let streams = InProcess::new();
        let publisher = Publisher::in_process(&streams, Some(key.clone()));
        publisher
            .publish(MessageBuilder::revoke("z-1", "test").session("in-the-streams"))
            .await
            .unwrap();
        let log = Gated {
            streams,
            permits: Arc::new(Semaphore::new(0)),
            reads: Arc::default(),
            is_narrow: false,
            flood: None,
        };
        let (requests, baseline) = baseline::channel();
        let (reload, task) = channel(requests.clone());
        let writer = Arc::new(RevocationsWriter::new(Options::default()));
        let (task, baseline) = (Some(task), Some(baseline));
        Self { writer, log, key, reload, task, baseline, requests }
    }

    /// Runs the task, with this baseline.
    fn run(&mut self, baseline: Option<OneFact>) {
        let (task, log) = (self.task.take().unwrap(), self.log.clone());
        task.begins(&self.writer, baseline.is_some());
        let requests = baseline.is_some().then(|| self.requests.clone());
        let reloads = self.baseline.take().unwrap();
        let (keys, writer) = (KeyRing::new(self.key.clone()), Arc::clone(&self.writer));
        if let Some(baseline) = baseline {
            let every = Duration::from_secs(3_600);
            tokio::spawn(reloads.run(Box::new(baseline), Arc::clone(&writer), every));
        }
        let new_logs: NewLogs<Gated> = Box::new(move || vec![log.clone()]);
        tokio::spawn(task.run(new_logs, keys, writer, requests));
    }

    fn last(&self) -> Option<ReloadReport> {
        self.writer.follower().reload
    }

    async fn ended(&self) -> ReloadReport {
        for _ in 0..100_000 {
            match self.last() {
                Some(report) if report.ended.is_some() => return report,
                _ => yield_now().await,
            }
        }
        panic!("the reload does not end: {:?}", self.last());
    }
}

#[tokio::test]
async fn adds_revocations_of_streams_and_baseline() {
    let mut scene = Scene::new().await;
    scene.log.permits.add_permits(100);
    scene.run(Some(OneFact(Ok(()))));
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    let report = scene.ended().await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.messages, scene.writer.entries()), (1, 2));
    assert!(scene.writer.staleness(scene.writer.now()).is_err(), "a reload proves nothing");
}

#[tokio::test]
async fn one_reload_runs_at_a_time() {
    let mut scene = Scene::new().await;
    scene.run(None);
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    for _ in 0..10 {
        assert_eq!(scene.reload.clone().start(), ReloadStart::AlreadyRunning);
        yield_now().await;
    }
    assert_eq!(scene.last().unwrap().ended, None);
    scene.log.permits.add_permits(100);
    scene.ended().await;
    yield_now().await;
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
}

#[tokio::test]
async fn end_of_earlier_reload_is_not_taken_for_the_next() {
    let mut scene = Scene::new().await;
    scene.log.permits.add_permits(100);
    scene.run(None);
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    scene.ended().await;
    while scene.reload.start() != ReloadStart::Accepted {
        yield_now().await;
    }
    // Without an await since then: the task has not run.
    let report = scene.last().unwrap();
    assert_eq!((report.ended, report.messages), (None, 0), "{report:?}");
}

#[tokio::test]
async fn failure_is_reported_and_does_not_block_the_next_reload() {
    let mut scene = Scene::new().await;
    scene.log.permits.close();
    let problem = BaselineError::new("DATABASE_URL", "no answer");
    scene.run(Some(OneFact(Err(problem))));
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    let report = scene.ended().await;
    assert!(!report.is_complete());
    assert_eq!(report.streams_error, Some(OutageCause::Replaced));
    assert_eq!(report.baseline_error.as_deref(), Some("DATABASE_URL: no answer"));
    assert_eq!(scene.writer.entries(), 1, "what was read before the failure stays");
    yield_now().await;
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
}

#[tokio::test]
async fn names_the_reason_if_nothing_can_be_read() {
    let mut scene = Scene::new().await;
    let no_follower = ReloadStart::NotPossible(ReloadObstacle::NoFollower);
    assert_eq!(scene.reload.start(), no_follower, "it has not begun");
    scene.run(None);
    scene.writer.set_outage(Some(OutageCause::Timeout));
    let outage = ReloadStart::NotPossible(ReloadObstacle::Outage(OutageCause::Timeout));
    assert_eq!(scene.reload.start(), outage);

    let mut other = Scene::new().await;
    other.run(Some(OneFact(Ok(()))));
    other.writer.set_outage(Some(OutageCause::Timeout));
    assert_eq!(other.reload.start(), ReloadStart::Accepted, "the baseline can be read");

    let mut ended = Scene::new().await;
    let task = ended.task.take().unwrap();
    task.begins(&ended.writer, false);
    drop(task);
    for _ in 0..3 {
        assert_eq!(ended.reload.start(), no_follower, "it has ended");
    }
}

#[tokio::test]
async fn reads_every_stream_from_narrow_answers() {
    let mut scene = Scene::new().await;
    scene.log.is_narrow = true;
    // The first stream of the answers is not the one with the message.
    scene.log.reads.store(1, Ordering::Relaxed);
    scene.log.permits.add_permits(100);
    scene.run(None);
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    assert!(scene.ended().await.is_complete());
    assert_eq!(scene.writer.entries(), 1);
    assert_eq!(scene.log.reads.load(Ordering::Relaxed), 1 + Stream::ALL.len() as u64);
}

#[tokio::test]
async fn ends_although_a_writer_is_faster() {
    let mut scene = Scene::new().await;
    scene.log.flood = Some(scene.key.clone());
    scene.log.permits.add_permits(100);
    scene.run(None);
    assert_eq!(scene.reload.start(), ReloadStart::Accepted);
    let report = scene.ended().await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.messages, 1, "the one that was there at the start");
}
