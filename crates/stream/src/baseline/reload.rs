//! When a baseline is read, and what follows from it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use caracal_revocation_state::{Known, Revocations};
use metrics::{Counter, counter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Baseline, BaselineError, Scope};

/// Whoever can write to Redis can make losses, but not more readings than one in this time.
const GAP: Duration = Duration::from_secs(1);

/// Asks for a reading of the baseline now; clones ask the same follower.
///
/// From [`Follower::reload_handle`](crate::Follower::reload_handle).
#[derive(Clone, Debug)]
pub struct Reload(mpsc::Sender<Asked>);

/// Who waits for the outcome.
type Asked = oneshot::Sender<Result<(), BaselineError>>;

/// The other end of a [`Reload`].
#[derive(Debug)]
pub(crate) struct Reloads(mpsc::Receiver<Asked>);

pub(crate) fn channel() -> (Reload, Reloads) {
    let (sender, receiver) = mpsc::channel(16);
    (Reload(sender), Reloads(receiver))
}

impl Reload {
    /// Has the baseline read whole, once, after this call, and waits for it.
    ///
    /// # Errors
    ///
    /// [`BaselineError`] when it could not be read, when the follower has no baseline, and when it
    /// has ended.
    pub async fn reload(&self) -> Result<(), BaselineError> {
        let nobody = || BaselineError::new("baseline", "no follower with a baseline is running");
        let (asked, outcome) = oneshot::channel();
        self.0.send(asked).await.map_err(|_| nobody())?;
        outcome.await.map_err(|_| nobody())?
    }
}

impl Reloads {
    /// Reads the baseline again and again, for ever.
    pub(crate) async fn run(
        mut self,
        mut baseline: Box<dyn Baseline>,
        revocations: Revocations,
        every: Duration,
    ) {
        let metrics = Metrics::register();
        let mut losses = revocations.watch_losses();
        let mut trouble = Trouble::default();
        let mut waiting: Vec<Asked> = Vec::new();
        let window = revocations.options().memory;
        let mut scope = Scope::Window(window);
        loop {
            let earliest_next = Instant::now() + GAP;
            // Whoever asks from here on is answered by the next reading: this one's snapshot may
            // be older than the question.
            while let Ok(asked) = self.0.try_recv() {
                waiting.push(asked);
                scope = Scope::Window(window);
            }
            losses.mark_unchanged();
            let outcome = read(&mut *baseline, scope, &revocations).await;
            let pause = match &outcome {
                Ok(()) => {
                    metrics.reloads.increment(1);
                    trouble.end();
                    scope = Scope::News(window);
                    every
                }
                Err(error) => {
                    metrics.errors.increment(1);
                    trouble.pause(error)
                }
            };
            for asked in waiting.drain(..) {
                // Who asked may not be waiting any more.
                let _ = asked.send(outcome.clone());
            }
            tokio::select! {
                changed = losses.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    scope = Scope::Window(window);
                    sleep_until(earliest_next).await;
                }
                asked = self.0.recv() => match asked {
                    Some(asked) => {
                        waiting.push(asked);
                        scope = Scope::Window(window);
                    }
                    // Nobody can ask any more; losses and the schedule go on.
                    None => sleep(pause).await,
                },
                () = sleep(pause) => {}
            }
        }
    }
}

/// One reading, and what follows where it was whole.
async fn read(
    baseline: &mut dyn Baseline,
    scope: Scope,
    revocations: &Revocations,
) -> Result<(), BaselineError> {
    // Before the snapshot begins: a loss after this is not covered by it.
    let losses = revocations.losses();
    let mut found: u64 = 0;
    let mut add = |known: &Known<'_>| {
        found += 1;
        revocations.add(known, revocations.now());
    };
    baseline.read(scope, &mut add).await?;
    match scope {
        Scope::News(_) => {}
        Scope::Window(_) => {
            let was_incomplete = revocations.horizon().is_some();
            let closed = revocations.take_back_horizon(losses);
            tracing::info!(found, closed = closed && was_incomplete, "the baseline was read");
        }
    }
    Ok(())
}

/// The time between a reading that failed and one that did not: one line in the log at each end.
#[derive(Debug, Default)]
struct Trouble {
    backoff: Option<ExponentialBackoff>,
    told: Option<BaselineError>,
}

impl Trouble {
    /// How long to wait before the next attempt.
    fn pause(&mut self, error: &BaselineError) -> Duration {
        if self.told.as_ref() != Some(error) {
            tracing::error!(
                setting = error.setting(), %error,
                "the baseline cannot be read; trying again until it can. What is known stays \
                 refused, and tokens that a hole may concern too"
            );
            self.told = Some(error.clone());
        }
        let backoff = self.backoff.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(GAP)
                .with_max_delay(Duration::from_secs(30))
                .with_jitter()
                .without_max_times()
                .build()
        });
        backoff.next().unwrap_or(GAP)
    }

    fn end(&mut self) {
        self.backoff = None;
        if self.told.take().is_some() {
            tracing::info!("the baseline is being read again");
        }
    }
}

#[derive(Debug)]
struct Metrics {
    reloads: Counter,
    errors: Counter,
}

impl Metrics {
    fn register() -> Self {
        Self {
            reloads: counter!("caracal_gateway_revocation_reloads_total"),
            errors: counter!("caracal_gateway_revocation_reload_errors_total"),
        }
    }
}
