//! The frames of a connection: the handshake, answers, and the end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use spop::actions::Action;
use spop::frames::{Ack, AgentDisconnect, AgentHello, FrameCapabilities, HaproxyHello};
use spop::{FrameType, SpopFrame, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::codec::Framed;

use super::answer;
use super::codec::{FrameCodec, FrameError, MAX_FRAME};

/// The time in which HAProxy must accept a frame.
const SEND: Duration = Duration::from_secs(10);
/// The time that HAProxy has to close a connection after the guard's last frame.
const LINGER: Duration = Duration::from_secs(1);

/// The reason for the end of a connection.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed it, or does not read any more.
    Gone,
    /// A normal end, which the guard announces.
    Announced(StatusCode),
    /// An error of the peer.
    Rejected(StatusCode),
}

/// The frames of a connection.
pub(super) struct Frames<T>(Framed<T, FrameCodec>);

impl<T: AsyncRead + AsyncWrite + Unpin> Frames<T> {
    pub(super) fn new(stream: T) -> Self {
        Self(Framed::new(stream, FrameCodec::new()))
    }

    pub(super) async fn next(&mut self) -> Result<Box<dyn SpopFrame>, End> {
        match self.0.next().await {
            Some(Ok(frame)) => Ok(frame),
            Some(Err(FrameError::Protocol(status))) => Err(End::Rejected(status)),
            Some(Err(FrameError::Io(_))) | None => Err(End::Gone),
        }
    }

    async fn send(&mut self, frame: Box<dyn SpopFrame>) -> Result<(), FrameError> {
        let sent = timeout(SEND, self.0.send(frame)).await;
        sent.unwrap_or_else(|elapsed| Err(FrameError::Io(elapsed.into())))
    }

    /// Agrees on the version and on the size of frames.
    pub(super) async fn handshake(&mut self) -> Result<(), End> {
        let frame = self.next().await?;
        if *frame.frame_type() != FrameType::HaproxyHello {
            return Err(End::Rejected(StatusCode::Invalid));
        }
        let hello = HaproxyHello::try_from(frame.payload());
        let hello = hello.map_err(|_| End::Rejected(StatusCode::Invalid))?;
        drop(frame);
        let version = hello.negotiate_version().ok_or(End::Rejected(StatusCode::BadVersion))?;
        let max_frame_size = hello.negotiate_max_frame_size(MAX_FRAME).map_err(End::Rejected)?;
        self.0.codec_mut().set_max_frame(max_frame_size);
        let capabilities = vec![FrameCapabilities::Pipelining];
        let answer = AgentHello { version, max_frame_size, capabilities };
        self.send(Box::new(answer)).await.map_err(|_| End::Gone)?;
        // A health check ends here: HAProxy closes the connection.
        if hello.healthcheck == Some(true) { Err(End::Gone) } else { Ok(()) }
    }

    /// Answers a frame. An answer that does not fit into a frame becomes a 503.
    pub(super) async fn acknowledge(
        &mut self,
        stream_id: u64,
        frame_id: u64,
        actions: Vec<Action>,
    ) -> Result<(), End> {
        let mut sent = self.send(Box::new(Ack { stream_id, frame_id, actions })).await;
        if let Err(FrameError::Protocol(_)) = sent {
            let actions = answer::unavailable();
            sent = self.send(Box::new(Ack { stream_id, frame_id, actions })).await;
        }
        sent.map_err(|_| End::Gone)
    }

    /// Announces the end, and waits until the peer has read it: closing a connection with unread
    /// bytes would reset it, and the answers on their way would be lost.
    pub(super) async fn disconnect(mut self, status: StatusCode) {
        let message = status.message().to_owned();
        let frame = AgentDisconnect { status_code: status.to_u32(), message };
        if self.send(Box::new(frame)).await.is_err() {
            return;
        }
        let mut stream = self.0.into_inner();
        let _ = timeout(LINGER, async {
            let _ = stream.shutdown().await;
            let mut rest = (&mut stream).take(1 << 20);
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        })
        .await;
    }
}
