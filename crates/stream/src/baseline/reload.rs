//! Schedules the reads of a baseline, and clears the horizon after a complete one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{BaselineFact, LossVersion, RevocationsWriter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::source::{Baseline, BaselineError, Scope};
use crate::metrics::{reload_errors, reloads};
use crate::repeat_limiter::RepeatLimiter;
use caracal_revocation_state::internal::{Backoff, Episode};

/// The shortest time between two reads. A writer to Redis can cause any number of losses, and each
/// one asks for a read.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two reads that repeated re-cut messages cause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The causes of losses, each with its longest pause. Re-cut messages have pauses of their own, so
/// repeating them does not delay a read for missing messages.
const CAUSES: [(Count, Duration); 2] =
    [(LossVersion::missing, MIN_PAUSE), (LossVersion::recut, MAX_PAUSE)];

/// A function that returns the number of losses of one cause.
type Count = fn(LossVersion) -> u64;

/// Asks the task that reads the baseline for a complete read.
#[derive(Clone, Debug)]
pub(crate) struct ReadRequests(mpsc::Sender<ReadRequest>);

/// The sender to a caller that waits for the result.
type ReadRequest = oneshot::Sender<Result<(), BaselineError>>;

/// The other end of [`ReadRequests`].
#[derive(Debug)]
pub(crate) struct Reloads(mpsc::Receiver<ReadRequest>);

pub(crate) fn channel() -> (ReadRequests, Reloads) {
    let (sender, receiver) = mpsc::channel(16);
    (ReadRequests(sender), Reloads(receiver))
}

impl ReadRequests {
    /// Asks for one complete read that begins after this call, and waits for its end.
    pub(crate) async fn read(&self) -> Result<(), BaselineError> {
        let no_follower =
            || BaselineError::new("baseline", "no follower with a baseline is running");
        let (request, outcome) = oneshot::channel();
        self.0.send(request).await.map_err(|_| no_follower())?;
        outcome.await.map_err(|_| no_follower())?
    }
}

impl Reloads {
    /// Reads the baseline at intervals, after losses, after the first replay, and on request. Never
    /// ends while the state exists.
    pub(crate) async fn run(
        mut self,
        mut baseline: Box<dyn Baseline>,
        writer: Arc<RevocationsWriter>,
        every: Duration,
    ) {
        let (reloads, errors) = (reloads(), reload_errors());
        let mut losses = writer.watch_losses();
        let mut failures = FailedReads::new();
        let mut waiting: Vec<ReadRequest> = Vec::new();
        let window = writer.options().memory;
        // The losses before the last complete read that succeeded.
        let mut covered: Option<LossVersion> = None;
        let mut schedule = LossSchedule::new();
        let revocations = writer.reader();
        // A server that took over between the first read and the end of the replay may have lost
        // messages without a trace.
        let mut replay = pin!(revocations.ready());
        let mut is_replaying = true;
        loop {
            // A request that arrives from here on waits for the next read: the snapshot of this
            // read may be older than the request.
            while let Ok(request) = self.0.try_recv() {
                waiting.push(request);
            }
            // Taken before the snapshot begins. This read does not cover a later loss, which wakes
            // the loop below. The scope depends on the count alone, not on what woke the loop.
            let lost = *losses.borrow_and_update();
            schedule.read(lost);
            let is_requested = !waiting.is_empty();
            let scope = if covered == Some(lost) && !is_requested {
                Scope::Incremental(window)
            } else {
                Scope::Full(window)
            };
            let outcome = read(&mut *baseline, scope, lost, &writer).await;
            report(&writer, &outcome);
            let outcome = outcome.map(drop);
            let pause = match &outcome {
                Ok(()) => {
                    reloads.increment(1);
                    failures.end();
                    covered = Some(lost);
                    every
                }
                Err(error) => {
                    errors.increment(1);
                    failures.pause(error)
                }
            };
            for request in waiting.drain(..) {
                // The caller may not be waiting any more.
                let _ = request.send(outcome.clone());
            }
            let mut scheduled = Instant::now() + pause;
            loop {
                let due = schedule.due(*losses.borrow());
                let next = due.map_or(scheduled, |due| due.min(scheduled));
                tokio::select! {
                    changed = losses.changed() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                    // Without any handle left, losses and the schedule still trigger reads.
                    Some(request) = self.0.recv() => {
                        waiting.push(request);
                        break;
                    }
                    () = &mut replay, if is_replaying => {
                        is_replaying = false;
                        scheduled = scheduled.min(schedule.earliest);
                    }
                    () = sleep_until(next) => break,
                }
            }
        }
    }
}

/// The schedule of reads after losses.
#[derive(Debug)]
struct LossSchedule {
    began: Instant,
    /// The losses before the last read, successful or not.
    read: LossVersion,
    earliest: Instant,
    limiters: [RepeatLimiter; CAUSES.len()],
}

impl LossSchedule {
    fn new() -> Self {
        let now = Instant::now();
        let limiters = CAUSES.map(|(_, longest)| RepeatLimiter::between(MIN_PAUSE, longest));
        Self { began: now, read: LossVersion::default(), earliest: now, limiters }
    }

    /// Returns the limiter of each cause that had losses since the last read.
    fn new_causes(&mut self, lost: LossVersion) -> impl Iterator<Item = &mut RepeatLimiter> {
        let read = self.read;
        let causes = CAUSES.into_iter().zip(&mut self.limiters);
        causes.filter_map(move |((count, _), limiter)| {
            (count(lost) != count(read)).then_some(limiter)
        })
    }

    /// Records that a read begins, which covers the losses up to `lost`.
    fn read(&mut self, lost: LossVersion) {
        let since_began = self.began.elapsed();
        self.new_causes(lost).for_each(|limiter| limiter.done(since_began));
        self.read = lost;
        self.earliest = Instant::now() + MIN_PAUSE;
    }

    /// Returns the time of the next read for losses since the last one.
    fn due(&mut self, lost: LossVersion) -> Option<Instant> {
        let (began, earliest) = (self.began, self.earliest);
        let due = self.new_causes(lost).map(|limiter| began + limiter.earliest()).min();
        due.map(|due| due.max(earliest))
    }
}

/// Reads once. A complete read clears the horizon if no loss came after `lost`. Returns the number
/// of facts of a complete read.
async fn read(
    baseline: &mut dyn Baseline,
    scope: Scope,
    lost: LossVersion,
    writer: &RevocationsWriter,
) -> Result<Option<u64>, BaselineError> {
    let mut found: u64 = 0;
    let mut add = |known: &BaselineFact<'_>| {
        found += 1;
        // rule: baseline-adds-before-closing
        writer.add(known, writer.now());
    };
    baseline.read(scope, &mut add).await?;
    match scope {
        Scope::Incremental(_) => Ok(None),
        Scope::Full(_) => {
            let was_incomplete = writer.horizon().is_some();
            let closed = writer.clear_horizon(lost);
            tracing::info!(found, closed = closed && was_incomplete, "the baseline was read");
            Ok(Some(found))
        }
    }
}

/// Reports the result of a read to status pages.
fn report(writer: &RevocationsWriter, outcome: &Result<Option<u64>, BaselineError>) {
    let now = writer.now();
    writer.report(|report| {
        let report = report.baseline.get_or_insert_default();
        report.error = outcome.as_ref().err().map(ToString::to_string);
        if let Ok(found) = outcome {
            report.read = Some(now);
            if let Some(found) = found {
                (report.completed, report.facts) = (Some(now), *found);
            }
        }
    });
}

/// Logs an episode of failing reads once at its start, and once at its end.
#[derive(Debug)]
struct FailedReads {
    backoff: Backoff,
    began: Instant,
    episode: Episode<BaselineError>,
}

impl FailedReads {
    fn new() -> Self {
        let backoff = Backoff::new(MIN_PAUSE, MAX_PAUSE);
        Self { backoff, began: Instant::now(), episode: Episode::default() }
    }

    /// Returns the pause before the next attempt.
    fn pause(&mut self, error: &BaselineError) -> Duration {
        if self.episode.goes_on(error.clone(), self.began.elapsed()) {
            tracing::error!(
                setting = error.setting(), %error,
                "the baseline cannot be read: gaps stay open, so tokens issued before them stay \
                 denied; trying again"
            );
        }
        self.backoff.next_pause()
    }

    fn end(&mut self) {
        self.backoff.reset();
        if self.episode.is_over(self.began.elapsed()) {
            tracing::info!("the baseline is being read again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use caracal_revocation_state::{Checks, Claims, Options, Revocations, Verdict};

    use tokio::time::sleep;

    use super::*;
    use crate::BaselineFuture;

    const EVERY: Duration = Duration::from_secs(60);

    /// A baseline without facts, whose reads always succeed.
    #[derive(Debug)]
    struct Empty;

    impl Baseline for Empty {
        fn read<'a>(
            &'a mut self,
            _: Scope,
            _: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
        ) -> BaselineFuture<'a> {
            Box::pin(async { Ok(()) })
        }
    }

    /// Returns `true` if a token issued before every loss is denied.
    fn is_open(revocations: &Revocations) -> bool {
        let mut claims = Claims::new("ar-1", 1, 901);
        claims.token_use = Some("resource".into());
        let mut checks = Checks::default();
        // The token has expired, but only the horizon matters here.
        checks.lifetime = false;
        let verdict = revocations.decide(&claims, &checks, revocations.now());
        matches!(verdict, Verdict::Denied(_))
    }

    fn fresh() -> Arc<RevocationsWriter> {
        let writer = RevocationsWriter::new(Options::default());
        writer.confirm(writer.now());
        Arc::new(writer)
    }

    #[tokio::test(start_paused = true)]
    async fn closes_loss_that_coincides_with_scheduled_read() {
        for _ in 0..64 {
            let revocations = fresh();
            let (_requests, reloads) = channel();
            let start = Instant::now();
            tokio::spawn(reloads.run(Box::new(Empty), Arc::clone(&revocations), EVERY));
            sleep_until(start + EVERY).await;
            // The timer of the schedule has fired too, but its task has not run yet.
            revocations.raise_horizon(10);
            assert!(is_open(&revocations));
            sleep(2 * MIN_PAUSE).await;
            assert!(!is_open(&revocations));
        }
    }

    /// A baseline that counts its reads: all of them, and those that are complete.
    #[derive(Clone, Debug, Default)]
    struct Counting {
        all: Arc<AtomicUsize>,
        full: Arc<AtomicUsize>,
    }

    impl Baseline for Counting {
        fn read<'a>(
            &'a mut self,
            scope: Scope,
            _: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
        ) -> BaselineFuture<'a> {
            self.all.fetch_add(1, Ordering::Relaxed);
            if matches!(scope, Scope::Full(_)) {
                self.full.fetch_add(1, Ordering::Relaxed);
            }
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_recuts_cause_ever_fewer_reads() {
        let revocations = fresh();
        let (_requests, reloads) = channel();
        let counting = Counting::default();
        let windows = Arc::clone(&counting.full);
        tokio::spawn(reloads.run(Box::new(counting), Arc::clone(&revocations), 100 * EVERY));
        sleep(EVERY).await;
        revocations.cover_recut(10);
        assert!(is_open(&revocations));
        sleep(2 * MIN_PAUSE).await;
        assert!(!is_open(&revocations), "the first loss is closed soon");

        let before = windows.load(Ordering::Relaxed);
        for _ in 0..3_000 {
            sleep(Duration::from_millis(100)).await;
            revocations.cover_recut(10);
        }
        let readings = windows.load(Ordering::Relaxed) - before;
        assert!((5..=16).contains(&readings), "{readings} in 300 s");

        assert!(is_open(&revocations));
        revocations.raise_horizon(20);
        sleep(2 * MIN_PAUSE).await;
        assert!(!is_open(&revocations), "another loss is closed soon");
        sleep(2 * EVERY).await;
        revocations.cover_recut(30);
        assert!(is_open(&revocations));
        sleep(2 * MIN_PAUSE).await;
        assert!(!is_open(&revocations), "the first loss after a quiet time is closed soon");
    }

    #[tokio::test(start_paused = true)]
    async fn reads_again_once_the_replay_has_ended() {
        for replay in [MIN_PAUSE / 4, 10 * MIN_PAUSE] {
            let writer = Arc::new(RevocationsWriter::new(Options::default()));
            let (_requests, reloads) = channel();
            let counting = Counting::default();
            let reads = Arc::clone(&counting.all);
            tokio::spawn(reloads.run(Box::new(counting), Arc::clone(&writer), 100 * EVERY));
            sleep(replay).await;
            assert_eq!(reads.load(Ordering::Relaxed), 1);
            writer.confirm(writer.now());
            sleep(MIN_PAUSE).await;
            assert_eq!(reads.load(Ordering::Relaxed), 2);
            writer.confirm(writer.now());
            sleep(10 * MIN_PAUSE).await;
            assert_eq!(reads.load(Ordering::Relaxed), 2, "later proofs cause no read");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closes_loss_without_any_handle() {
        let revocations = fresh();
        let (requests, reloads) = channel();
        drop(requests);
        tokio::spawn(reloads.run(Box::new(Empty), Arc::clone(&revocations), EVERY));
        sleep(EVERY / 2).await;
        revocations.raise_horizon(10);
        assert!(is_open(&revocations));
        sleep(2 * MIN_PAUSE).await;
        assert!(!is_open(&revocations), "closed long before the next scheduled read");
    }
}
