//! Answers the frames of a connection, in the order in which they are decided.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use spop::{FramePayload, FrameType, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

use super::frames::{End, Frames};
use super::rejected::Rejected;
use super::{answer, message};
use crate::config::Limits;
use crate::decider::Decider;
use crate::routes::Routes;
use crate::server::Shutdown;

/// The time without a frame after which a connection is closed. HAProxy closes an idle one much
/// earlier (`timeout idle`), so that only a connection without a peer lives this long.
const IDLE: Duration = Duration::from_secs(600);
/// The number of questions that one connection decides at once. HAProxy sends at most 20
/// (`max-waiting-frames`).
const MAX_RUNNING: usize = 128;
/// The pause after which a connection that drains counts as quiet.
const QUIET: Duration = Duration::from_millis(100);

/// Answers HAProxy.
#[derive(Clone)]
pub(crate) struct Agent {
    decider: Decider,
    rejected: Arc<Rejected>,
}

impl Agent {
    pub(crate) fn new(routes: &Routes) -> Self {
        let rejected = Arc::new(Rejected::register());
        Self { decider: Decider::new("spoe", routes), rejected }
    }

    /// Decides by these routes from here on.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.decider.reload(routes);
    }

    /// Serves one connection to its end.
    pub(super) async fn serve<T>(&self, stream: T, limits: Limits, shutdown: Shutdown)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut frames = Frames::new(stream);
        let end = match timeout(limits.header_timeout, frames.handshake()).await {
            Ok(Ok(())) => self.answer(&mut frames, limits, shutdown).await,
            Ok(Err(end)) => end,
            Err(_) => End::Rejected(StatusCode::Timeout),
        };
        let status = match end {
            End::Gone => return,
            End::Announced(status) => status,
            End::Rejected(status) => {
                self.rejected.frame(status);
                status
            }
        };
        frames.disconnect(status).await;
    }

    /// Answers frames until the connection or the program ends.
    async fn answer<T>(&self, frames: &mut Frames<T>, limits: Limits, mut shutdown: Shutdown) -> End
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut running = FuturesUnordered::new();
        let (mut deadline, mut drain_until, mut closing) = (Instant::now() + IDLE, None, None);
        loop {
            if let Some(status) = closing.filter(|_| running.is_empty()) {
                return End::Announced(status);
            }
            let may_read = closing.is_none() && running.len() < MAX_RUNNING;
            // A connection under load is never quiet, so it has half of the time to drain.
            let wait_until = match drain_until {
                None => deadline,
                Some(end) => (Instant::now() + QUIET).min(end),
            };
            let next = tokio::select! {
                biased;
                Some((stream_id, frame_id, actions)) = running.next() => {
                    if let Err(end) = frames.acknowledge(stream_id, frame_id, actions).await {
                        return end;
                    }
                    continue;
                }
                () = shutdown.wait(), if drain_until.is_none() => {
                    drain_until = Some(Instant::now() + limits.drain / 2);
                    continue;
                }
                next = timeout_at(wait_until, frames.next()), if may_read => next,
            };
            let frame = match next {
                Ok(Ok(frame)) => frame,
                Ok(Err(end)) => return end,
                Err(_) => {
                    let is_drain = drain_until.is_some();
                    closing = Some(if is_drain { StatusCode::None } else { StatusCode::Timeout });
                    continue;
                }
            };
            deadline = Instant::now() + IDLE;
            match frame.frame_type() {
                FrameType::Notify => {}
                FrameType::HaproxyDisconnect => return End::Announced(StatusCode::None),
                _ => return End::Rejected(StatusCode::Invalid),
            }
            let (stream_id, frame_id) = (frame.metadata().stream_id, frame.metadata().frame_id);
            let FramePayload::ListOfMessages(messages) = frame.payload() else {
                return End::Rejected(StatusCode::Invalid);
            };
            let described = message::read(messages);
            running.push(async move {
                let actions = match described {
                    Ok(described) => answer::answer(&self.decider, described).await,
                    Err(error) => {
                        self.rejected.message(error);
                        answer::unavailable()
                    }
                };
                (stream_id, frame_id, actions)
            });
        }
    }
}
