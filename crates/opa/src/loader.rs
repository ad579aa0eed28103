//! The task that keeps one zone's policy current.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use caracal_revocation_state::internal::Backoff;
use caracal_revocation_state::{PolicyChanges, PolicyInvalidation, Revocations};
use futures_util::FutureExt;
use tokio::time::{Instant as Deadline, Sleep};

use crate::ledger::{Attempt, LoadAction, Version};
use crate::metrics::Metrics;
use crate::policy_state::{LoadedPolicy, ZonePolicyState};
use crate::source::AnySource;
use crate::zone::Zone;
use crate::{LoadFailure, PolicyBundle, PolicyEngine, PolicyOptions, PolicyRequest, PrepareError};

/// The parts that the loading tasks of all zones share.
pub(crate) struct LoaderContext {
    pub(crate) revocations: Revocations,
    pub(crate) source: Box<dyn AnySource>,
    pub(crate) engine: Box<dyn PolicyEngine>,
    pub(crate) options: PolicyOptions,
    pub(crate) metrics: Metrics,
}

/// Keeps the zone's policy current: loads it on each invalidation, poll and request for a load.
/// Returns once the zone is idle.
pub(crate) async fn keep_current(zone: &Zone, context: &LoaderContext) {
    let mut changes = context.revocations.policy_changes();
    let mut state = ZonePolicyState::clone(&zone.state.load());
    let (first, longest) = context.options.retry;
    let mut backoff = Backoff::new(first, longest);
    loop {
        let requested = zone.requested.load(Ordering::Acquire);
        let began = Deadline::now();
        attempt(zone, context, &mut state, &mut changes).await;
        zone.state.store(Arc::new(state.clone()));
        zone.answered.send_replace(requested);
        let invalidation = context.revocations.policy(&zone.name);
        let pause = if state.failure.is_none() {
            backoff.reset();
            jittered(context.options.poll_interval)
        } else {
            backoff.next_pause()
        };
        let settled = state.failure.is_none();
        let mut sleep = pin!(tokio::time::sleep(pause));
        let mut received = invalidation.generation;
        if settled && !state.ledger.is_settled() {
            continue;
        }
        loop {
            let invalidation = context.revocations.policy(&zone.name);
            if invalidation.generation != received
                || invalidation.generation > state.ledger.received()
            {
                received = invalidation.generation;
                state.ledger.receive(&invalidation, context.revocations.now());
                zone.state.store(Arc::new(state.clone()));
                if settled {
                    break;
                }
                // The message may end the failures, so the next load comes sooner. A flood of
                // messages must neither become a flood of loads nor delay the next one.
                backoff.reset();
                move_earlier(sleep.as_mut(), Deadline::now() + backoff.next_pause());
            }
            tokio::select! {
                () = &mut sleep => break,
                // Many requests wake this task at once when an engine has another version.
                () = zone.wake.notified() => {
                    move_earlier(sleep.as_mut(), began + context.options.retry.0);
                }
                () = changes.changed() => {}
            }
        }
        if zone.is_idle(context.revocations.now(), context.options.idle) {
            return;
        }
    }
}

/// Varies an interval by up to a tenth, so that the replicas of a service do not poll in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() / 5.0)
}

fn move_earlier(sleep: Pin<&mut Sleep>, deadline: Deadline) {
    if deadline < sleep.deadline() {
        sleep.reset(deadline);
    }
}

/// Loads once, and records the result in the state.
async fn attempt(
    zone: &Zone,
    context: &LoaderContext,
    state: &mut ZonePolicyState,
    changes: &mut PolicyChanges,
) {
    let revocations = &context.revocations;
    let invalidation = revocations.policy(&zone.name);
    let attempt = state.ledger.begin(&invalidation, revocations.now());
    let before = state.failure;
    let outcome = load_and_prepare(zone, context, state, changes, &attempt).await;
    state.tried = true;
    state.failure = outcome.err().map(|(failure, text)| {
        context.metrics.load_failed(failure);
        log_failure(zone, state, failure, before, &text);
        failure
    });
    if before.is_some() && state.failure.is_none() {
        tracing::info!(zone = ?zone.name, "the zone's policy is current again");
    }
}

async fn load_and_prepare(
    zone: &Zone,
    context: &LoaderContext,
    state: &mut ZonePolicyState,
    changes: &mut PolicyChanges,
    attempt: &Attempt,
) -> Result<(), (LoadFailure, String)> {
    let options = &context.options;
    let request = PolicyRequest { zone: &zone.name, awaited: attempt.awaited() };
    let began = Instant::now();
    // The source is user code and may panic; this task must go on.
    let load = AssertUnwindSafe(async { context.source.load_boxed(request).await });
    let load = load.catch_unwind();
    let load = tokio::time::timeout(options.load_timeout, load);
    let loaded = record_invalidations_during(zone, context, state, changes, load).await;
    context.metrics.loaded(began.elapsed());
    let bundle = loaded
        .map_err(|_| (LoadFailure::SourceTimeout, "the load timed out".to_owned()))?
        .map_err(|_| (LoadFailure::Source, "the source panicked".to_owned()))?
        .map_err(|error| (LoadFailure::Source, error.to_string()))?;
    let Some(bundle) = bundle else {
        state.policy = None;
        state.ledger.install_none(attempt);
        return settled(attempt, attempt.awaited().is_none());
    };
    let version = verified(&bundle, options).map_err(|failure| (failure, String::new()))?;
    let bundle = Arc::new(bundle);
    let answers = |awaited: &str| bundle.answers(awaited);
    let answered = attempt.awaited().is_none_or(answers);
    let is_lost = state.policy.as_ref().is_some_and(|policy| policy.prepared.is_lost());
    let action = match state.ledger.action(attempt, &version, answers) {
        LoadAction::Same if is_lost => LoadAction::New,
        action => action,
    };
    match action {
        LoadAction::Older => return Err((LoadFailure::OlderVersion, version.version.to_string())),
        LoadAction::KnownBroken => {
            return Err((LoadFailure::Broken, "this bundle failed to compile before".to_owned()));
        }
        LoadAction::Same => state.ledger.install(attempt, version, answers),
        LoadAction::New => {
            let began = Instant::now();
            let bundle = Arc::clone(&bundle);
            let prepare =
                AssertUnwindSafe(async { context.engine.prepare(&zone.name, bundle).await });
            let prepare = tokio::time::timeout(options.prepare_timeout, prepare.catch_unwind());
            let prepared =
                record_invalidations_during(zone, context, state, changes, prepare).await;
            let ok = matches!(prepared, Ok(Ok(Ok(_))));
            context.metrics.compiled(began.elapsed(), ok);
            match prepared {
                Ok(Ok(Ok(prepared))) => {
                    let policy = LoadedPolicy { version: version.clone(), prepared };
                    state.policy = Some(Arc::new(policy));
                    state.ledger.install(attempt, version, answers);
                }
                Ok(Ok(Err(PrepareError::Unavailable(text)))) => {
                    return Err((LoadFailure::Engine, text));
                }
                Ok(Ok(Err(PrepareError::Rejected(text)))) => {
                    state.ledger.mark_broken(version);
                    return Err((LoadFailure::Broken, text));
                }
                Ok(Err(_)) => return Err((LoadFailure::Engine, "the engine panicked".to_owned())),
                Err(_) => return Err((LoadFailure::Engine, "preparing timed out".to_owned())),
            }
        }
    }
    settled(attempt, answered)
}

fn settled(attempt: &Attempt, answered: bool) -> Result<(), (LoadFailure, String)> {
    if answered {
        return Ok(());
    }
    Err((LoadFailure::NotYetAwaited, attempt.awaited().unwrap_or_default().to_owned()))
}

fn verified(bundle: &PolicyBundle, options: &PolicyOptions) -> Result<Version, LoadFailure> {
    let content: Arc<str> = bundle.compute_digest().into();
    let digest = match bundle.digest() {
        Some(_) if !bundle.is_intact() => return Err(LoadFailure::WrongDigest),
        Some(digest) => digest.into(),
        None if !options.insecure_accept_undigested => return Err(LoadFailure::NoDigest),
        None => Arc::clone(&content),
    };
    Ok(Version { version: bundle.version().into(), digest, content })
}

/// Waits for the work. Records invalidations until it ends.
async fn record_invalidations_during<T>(
    zone: &Zone,
    context: &LoaderContext,
    state: &mut ZonePolicyState,
    changes: &mut PolicyChanges,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        let invalidation: PolicyInvalidation = context.revocations.policy(&zone.name);
        if invalidation.generation > state.ledger.received() {
            state.ledger.receive(&invalidation, context.revocations.now());
            zone.state.store(Arc::new(state.clone()));
        }
        tokio::select! {
            done = &mut work => return done,
            () = changes.changed() => {}
        }
    }
}

/// Logs a failure: a new one as a warning or an error, a repeated one at level debug.
fn log_failure(
    zone: &Zone,
    state: &ZonePolicyState,
    failure: LoadFailure,
    before: Option<LoadFailure>,
    text: &str,
) {
    let serving = state.policy.as_ref().map(|policy| policy.version.version.as_ref());
    let (zone, reason) = (&zone.name, failure.label());
    if before == Some(failure) {
        tracing::debug!(
            ?zone,
            reason,
            words = text,
            ?serving,
            "the zone's policy is still not current"
        );
    } else if failure == LoadFailure::NotYetAwaited {
        tracing::warn!(
            ?zone, reason, awaited = ?text, ?serving,
            "the policy source does not have the announced version yet; retrying"
        );
    } else {
        tracing::error!(
            ?zone,
            reason,
            words = text,
            ?serving,
            "the zone's policy cannot be loaded"
        );
    }
}
