//! Frames on a connection: the codec of `spop`, with the protocol's status of each error.

use std::io;

use bytes::BytesMut;
use spop::{SpopCodec, SpopFrame, StatusCode};
use tokio_util::codec::{Decoder, Encoder};

/// The largest frame that the guard accepts: HAProxy's own default, `tune.bufsize` − 4.
pub(super) const MAX_FRAME: u32 = 16_380;

/// Reads and writes frames up to a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameCodec(SpopCodec);

/// An error after which no more frames can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("{0}")]
    Protocol(StatusCode),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl FrameCodec {
    pub(super) const fn new() -> Self {
        Self(SpopCodec::new(MAX_FRAME))
    }

    /// Sets the size that both sides agreed on.
    pub(super) const fn set_max_frame(&mut self, size: u32) {
        self.0.set_max_frame_size(size);
    }
}

impl Decoder for FrameCodec {
    type Item = Box<dyn SpopFrame>;
    type Error = FrameError;

    /// `SpopCodec` reports every error alike, so that its caller could not send the status that the
    /// protocol has for a frame that is too big. The length is therefore compared here first.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, FrameError> {
        if let Some(length) = buffer.first_chunk::<4>()
            && u32::from_be_bytes(*length) > self.0.max_frame_size()
        {
            return Err(FrameError::Protocol(StatusCode::TooBig));
        }
        self.0.decode(buffer).map_err(|_| FrameError::Protocol(StatusCode::Invalid))
    }
}

impl Encoder<Box<dyn SpopFrame>> for FrameCodec {
    type Error = FrameError;

    fn encode(
        &mut self,
        frame: Box<dyn SpopFrame>,
        buffer: &mut BytesMut,
    ) -> Result<(), FrameError> {
        self.0.encode(frame, buffer).map_err(|_| FrameError::Protocol(StatusCode::TooBig))
    }
}
