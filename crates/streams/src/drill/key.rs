//! Checks the stream key before a drill publishes.
//!
//! A message that no service can verify would raise an alarm in every service, and in strict mode
//! deny every request. So a drill must not publish with a wrong key.

use caracal_revocation_admin::{Inspector, KeyReport};
use caracal_revocation_event::{KeySlot, Message, Stream, StreamId};
use caracal_revocation_stream::{InspectError, Settings};

use super::stage::{NoAnswer, Stage};
use crate::outcome::Failure;

/// The number of messages of a stream that are checked from each start.
const CHECKED: usize = 200;
/// The end of a stream that is checked first, in milliseconds.
const END_MS: u64 = 60_000;

/// Fails if the streams hold messages, and none of those checked verifies with the keys of these
/// settings. Streams without messages show nothing.
pub(super) async fn check(inspector: &mut Inspector, settings: &Settings) -> Result<(), NoAnswer> {
    let mut has_messages = false;
    for stream in Stream::ALL {
        let found = inspector.stream(stream.name()).await.map_err(Stage::Connect.failed())?;
        let KeyReport::Stream(report) = found else { continue };
        if report.length == 0 {
            continue;
        }
        let end = StreamId::new(report.last.ms.saturating_sub(END_MS), 0);
        for after in [end, StreamId::ZERO] {
            let verified = verifies(inspector, settings, stream, after).await;
            match verified.map_err(Stage::Connect.failed())? {
                Some(true) => return Ok(()),
                Some(false) => has_messages = true,
                None => {}
            }
        }
    }
    if !has_messages {
        return Ok(());
    }
    let why = "STREAMS_HMAC_KEY: no message in the streams is signed with it, so services would \
               reject the drill; nothing was published; set the producers' key, or during a \
               rotation their old one as STREAMS_HMAC_KEY_PREVIOUS";
    Err(Stage::Key.failed()(Failure::new(why)))
}

/// Returns `true` if a message after this id verifies, and `None` if there is none.
async fn verifies(
    inspector: &mut Inspector,
    settings: &Settings,
    stream: Stream,
    after: StreamId,
) -> Result<Option<bool>, InspectError> {
    let entries = inspector.entries(stream.name(), after, CHECKED).await?;
    let is_verified = |fields: &[(&[u8], &[u8])]| {
        let is_signed = fields.iter().any(|(name, _)| *name == b"_sig");
        let event = settings.keys().verify(&Message::new(stream, fields));
        // Without a key, every message is accepted; but those who sign reject an unsigned drill.
        event.is_ok_and(|event| event.key() != KeySlot::Unsigned || !is_signed)
    };
    let any = entries.iter().any(|entry| is_verified(&entry.fields()));
    Ok((!entries.is_empty()).then_some(any))
}
