//! Checks the stream key before messages are published.
//!
//! A message that no service can verify has no effect, raises an alarm in every service, and in
//! strict mode denies every request. So a drill, or a run of many revocations, must not publish with
//! a wrong key.

use caracal_revocation_admin::{Inspector, KeyReport};
use caracal_revocation_event::{KeySlot, Message, Stream, StreamId};
use caracal_revocation_stream::{InspectError, Settings};

use crate::outcome::Failure;

/// The number of messages of a stream that are checked from each start.
const CHECKED: usize = 200;
/// The end of a stream that is checked first, in milliseconds.
const END_MS: u64 = 60_000;

/// The evidence in the streams about the key of these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyEvidence {
    /// A message verifies with the keys of these settings.
    Verified,
    /// The streams hold messages, and none of those checked verifies.
    Foreign,
    /// The streams hold no message.
    Nothing,
}

impl KeyEvidence {
    /// Returns the failure to publish with a key that no message is signed with. `rejected` names
    /// what services would reject.
    pub(crate) fn check(self, rejected: &str) -> Result<(), Failure> {
        if self != Self::Foreign {
            return Ok(());
        }
        Err(Failure::new(format!(
            "STREAMS_HMAC_KEY: no message in the streams is signed with it, so services would \
             reject {rejected}; nothing was published; set the producers' key, or during a rotation \
             their old one as STREAMS_HMAC_KEY_PREVIOUS"
        )))
    }
}

/// Verifies the last and the first messages of each stream, until one verifies.
pub(crate) async fn evidence(
    inspector: &mut Inspector,
    settings: &Settings,
) -> Result<KeyEvidence, InspectError> {
    let mut found = KeyEvidence::Nothing;
    for stream in Stream::ALL {
        let KeyReport::Stream(report) = inspector.stream(stream.name()).await? else { continue };
        if report.length == 0 {
            continue;
        }
        let end = StreamId::new(report.last.ms.saturating_sub(END_MS), 0);
        for after in [end, StreamId::ZERO] {
            match verifies(inspector, settings, stream, after).await? {
                Some(true) => return Ok(KeyEvidence::Verified),
                Some(false) => found = KeyEvidence::Foreign,
                None => {}
            }
        }
    }
    Ok(found)
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
        // Without a key, every message is accepted; but those who sign reject an unsigned one.
        event.is_ok_and(|event| event.key() != KeySlot::Unsigned || !is_signed)
    };
    let any = entries.iter().any(|entry| is_verified(&entry.fields()));
    Ok((!entries.is_empty()).then_some(any))
}
