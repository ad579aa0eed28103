//! The connection of every publishing command, and the check of a message before it is written.

use std::time::SystemTime;

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::{Event, Message, MessageBuilder};
use caracal_revocation_stream::{InspectErrorKind, Publisher, Settings};

use crate::outcome::Failure;

/// Connects to Redis. An error names the reason, with the remedy.
pub(crate) async fn connect(settings: &Settings) -> Result<Publisher, Failure> {
    match Publisher::connect(settings).await {
        Ok(publisher) => Ok(publisher),
        Err(error) => Err(cause(settings).await.unwrap_or_else(|| error.into())),
    }
}

/// Returns the reason that Redis cannot be reached, with the remedy. Returns `None` if an
/// `Inspector` can connect.
async fn cause(settings: &Settings) -> Option<Failure> {
    let error = Inspector::connect(settings).await.err()?;
    // A producer may lack the rights of an operator.
    (error.kind() != InspectErrorKind::NotAllowed).then(|| error.into())
}

/// Verifies a message as a consumer would, and passes the event on.
///
/// Fails if consumers would reject the message, or could read it in two ways.
pub(crate) fn verified<T>(
    settings: &Settings,
    message: &MessageBuilder,
    event: impl FnOnce(&Event<'_>) -> T,
) -> Result<T, Failure> {
    let stream = message.stream();
    let fields = message.clone().into_fields(settings.keys().signing_key(), SystemTime::now());
    let wire: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let rejected = |why: &dyn std::fmt::Display| {
        Failure::new(format!("consumers would reject this message: {why}"))
    };
    let verified = settings.keys().verify(&Message::new(stream, &wire));
    let verified = verified.map_err(|rejection| rejected(&rejection))?;
    if verified.is_recut() {
        return Err(rejected(&"it looks like a re-cut message"));
    }
    Ok(event(&verified))
}
