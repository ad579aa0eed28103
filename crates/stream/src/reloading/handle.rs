//! The handle that asks for a reload, and the task that does it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use caracal_revocation_event::KeyRing;
use caracal_revocation_state::{ReloadObstacle, ReloadReport, ReloadStart, RevocationsWriter};
use tokio::sync::mpsc;

use super::new_logs::NewLogs;
use super::reread::reread;
use crate::baseline::{BaselineError, ReadRequests};
use crate::log::Log;
use crate::log_error::LogError;

/// A handle that asks a follower to read everything again. Clones ask the same follower.
///
/// [`Follower::reload_handle`](crate::Follower::reload_handle) returns it.
///
/// ```
/// # use caracal_revocation_event::{Key, KeyRing};
/// use caracal_revocation_state::ReloadStart;
/// use caracal_revocation_stream::{Follower, InProcess};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?;
/// let reload = follower.reload_handle();
/// let revocations = follower.spawn();
/// revocations.ready().await;
/// assert_eq!(reload.start(), ReloadStart::Accepted);
/// assert_eq!(reload.start(), ReloadStart::AlreadyRunning);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Reload {
    baseline: ReadRequests,
    requests: mpsc::Sender<Permit>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_running: AtomicBool,
    /// Set when the follower begins.
    follower: OnceLock<Running>,
}

/// The facts about a running follower that decide whether a reload is possible.
#[derive(Debug)]
struct Running {
    /// Weak, because a handle must not keep the state of a follower that has ended.
    writer: Weak<RevocationsWriter>,
    has_baseline: bool,
}

/// The right to be the only reload that runs. Dropping it lets the next one begin.
#[derive(Debug)]
struct Permit(Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

/// The task that runs reloads, one after the other.
#[derive(Debug)]
pub(crate) struct ReloadTask {
    requests: mpsc::Receiver<Permit>,
    shared: Arc<Shared>,
}

pub(crate) fn channel(baseline: ReadRequests) -> (Reload, ReloadTask) {
    let (sender, requests) = mpsc::channel(1);
    let shared = Arc::<Shared>::default();
    let task = ReloadTask { requests, shared: Arc::clone(&shared) };
    (Reload { baseline, requests: sender, shared }, task)
}

impl Reload {
    /// Asks for one complete read of the baseline that begins after this call, and waits for its
    /// end.
    ///
    /// # Errors
    ///
    /// [`BaselineError`] if the baseline could not be read, if the follower has no baseline, or if
    /// the follower has ended.
    pub async fn reload(&self) -> Result<(), BaselineError> {
        self.baseline.read().await
    }

    /// Begins to read the streams from their first entries again, and the baseline completely if
    /// there is one. Does not wait for the end, which
    /// [`Revocations::follower`](caracal_revocation_state::Revocations::follower) reports.
    ///
    /// A reload only adds to the state. It uses connections of its own. The follower goes on at the
    /// same time, so new messages take effect as fast as before. One reload runs at a time.
    #[must_use = "a reload may be impossible now"]
    pub fn start(&self) -> ReloadStart {
        let no_follower = ReloadStart::NotPossible(ReloadObstacle::NoFollower);
        let Some(follower) = self.shared.follower.get() else { return no_follower };
        let Some(writer) = follower.writer.upgrade() else { return no_follower };
        if self.requests.is_closed() {
            return no_follower;
        }
        let outage = writer.readiness(writer.now()).outage;
        if let Some(outage) = outage.filter(|_| !follower.has_baseline) {
            return ReloadStart::NotPossible(ReloadObstacle::Outage(outage));
        }
        if self.shared.is_running.swap(true, Ordering::AcqRel) {
            return ReloadStart::AlreadyRunning;
        }
        // Before this call returns: whoever asked must not take the end of an earlier reload for the
        // end of this one.
        let requested = writer.now();
        writer.report(|report| report.reload = Some(ReloadReport::begun(requested)));
        // The channel has room for the one request that may exist.
        match self.requests.try_send(Permit(Arc::clone(&self.shared))) {
            Ok(()) => ReloadStart::Accepted,
            Err(_) => no_follower,
        }
    }
}

impl ReloadTask {
    /// Records that the follower of this state has begun.
    pub(crate) fn begins(&self, writer: &Arc<RevocationsWriter>, has_baseline: bool) {
        // A follower begins once.
        let running = Running { writer: Arc::downgrade(writer), has_baseline };
        let _ = self.shared.follower.set(running);
    }

    /// Runs each reload that is requested. Ends with the last handle.
    pub(crate) async fn run<L: Log>(
        mut self,
        new_logs: NewLogs<L>,
        keys: KeyRing,
        writer: Arc<RevocationsWriter>,
        baseline: Option<ReadRequests>,
    ) {
        while let Some(permit) = self.requests.recv().await {
            tracing::info!("a reload was requested: the streams and the baseline are read again");
            let read_baseline = async {
                match &baseline {
                    Some(baseline) => baseline.read().await,
                    None => Ok(()),
                }
            };
            let (streams, facts) = tokio::join!(reread(&new_logs, &keys, &writer), read_baseline);
            finish(&writer, streams, facts);
            drop(permit);
        }
    }
}

/// Reports and logs the result of a reload.
fn finish(
    writer: &RevocationsWriter,
    streams: Result<(), LogError>,
    baseline: Result<(), BaselineError>,
) {
    let now = writer.now();
    let mut messages = 0;
    writer.report(|report| {
        let Some(reload) = &mut report.reload else { return };
        messages = reload.messages;
        reload.ended = Some(now);
        reload.streams_error = streams.as_ref().err().map(LogError::outage);
        reload.baseline_error = baseline.as_ref().err().map(ToString::to_string);
    });
    if let Err(error) = &streams {
        tracing::error!(
            %error, cause = error.outage().label(),
            "the reload could not read the streams to their ends: what it read is applied; request \
             another one once they can be read"
        );
    }
    if let Err(error) = &baseline {
        tracing::error!(
            %error, setting = error.setting(),
            "the reload could not read the baseline: request another one once it can be read"
        );
    }
    if streams.is_ok() && baseline.is_ok() {
        let entries = writer.entries();
        tracing::info!(messages, entries, "the reload is complete");
    }
}
