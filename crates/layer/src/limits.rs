//! The limits of the layers, each with its reason.

use std::time::Duration;

use caracal_revocation_state::LEEWAY;

/// The longest bearer token, in bytes (contract, "Mandates"). A longer one is denied unread.
pub(crate) const MAX_TOKEN: usize = 4096;

/// The longest request id that a client may choose, in bytes. It goes into logs and answers.
pub(crate) const MAX_REQUEST_ID: usize = 128;

/// The time after its `exp` for which a used mandate is remembered. Every gateway admits mandates
/// until one leeway after `exp`, by its own clock. Two clocks may differ by twice the leeway: one
/// computes how long the use is remembered, and the other must not admit the mandate after that.
/// The contract's time, until `exp`, would admit a replay within the leeway.
pub(crate) const USE_KEPT: Duration = Duration::from_secs(3 * LEEWAY.as_secs());

/// The longest body of a token request, in bytes (contract, "Token exchange"). It is kept in
/// memory.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// The default time that the body of a token request may take. A slow client occupies memory.
pub(crate) const FORM_DEADLINE: Duration = Duration::from_secs(10);

/// The longest response that is held for an HTTP/1.0 client, in bytes.
pub(crate) const MAX_HELD: usize = 1 << 20;

/// The longest time that a response is held for an HTTP/1.0 client, which gets nothing until then.
pub(crate) const HELD_DEADLINE: Duration = Duration::from_secs(10);

/// The time between the last event of an HTTP/2 stream and the reset. HTTP/2 writes in another
/// task, and a reset would overtake the event. A client that reads gets the event much sooner.
pub(crate) const HTTP2_FLUSH: Duration = Duration::from_millis(100);

/// The time that a WebSocket client has to receive the close frame and to answer it. After this
/// time it is disconnected.
#[cfg(feature = "ws")]
pub(crate) const WEBSOCKET_CLOSE: Duration = Duration::from_secs(1);

/// The interval at which the buffers of histograms are emptied. They grow in between.
#[cfg(feature = "prometheus")]
pub(crate) const HISTOGRAM_UPKEEP: Duration = Duration::from_secs(5);

/// The `Retry-After` of an outage, in seconds. Most outages are short reconnects.
pub(crate) const RETRY_OUTAGE: u16 = 1;

/// The `Retry-After` of a mandate that must be refreshed, in seconds. The refresh needs this time.
pub(crate) const RETRY_REFRESH: u16 = 5;
