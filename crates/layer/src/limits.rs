//! The limits of the layers, each with its reason.

use std::time::Duration;

/// The longest bearer token, in bytes (contract, "Tokens"). A longer one is denied unread.
pub(crate) const MAX_TOKEN: usize = 4096;

/// The longest request id that is taken from a client, in bytes. It goes into logs and answers.
pub(crate) const MAX_REQUEST_ID: usize = 128;

/// The longest body of a token request, in bytes (contract, "Tokens"). It is held in memory.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// The default for how long the body of a token request may take. A slow client holds memory.
pub(crate) const FORM_DEADLINE: Duration = Duration::from_secs(10);

/// The longest response that is held for an HTTP/1.0 client, in bytes.
pub(crate) const MAX_HELD: usize = 1 << 20;

/// How long a response is held for an HTTP/1.0 client, which sees nothing until then.
pub(crate) const HELD_DEADLINE: Duration = Duration::from_secs(10);

/// How long the last event of a stream has to leave before an HTTP/2 stream is reset. HTTP/2 writes
/// in another task, which a reset overtakes. A client that reads gets the event in much less.
pub(crate) const HTTP2_FLUSH: Duration = Duration::from_millis(100);

/// How long a WebSocket client has to take the close frame, and to answer it. A client that does
/// not is disconnected.
#[cfg(feature = "ws")]
pub(crate) const WEBSOCKET_CLOSE: Duration = Duration::from_secs(1);

/// The time between two rounds that empty the buffers of histograms. They grow until then.
#[cfg(feature = "prometheus")]
pub(crate) const HISTOGRAM_UPKEEP: Duration = Duration::from_secs(5);

/// The `Retry-After` of an outage, in seconds. Most outages are short reconnects.
pub(crate) const RETRY_OUTAGE: u16 = 1;

/// The `Retry-After` of a mandate that must be refreshed, in seconds: time for the refresh.
pub(crate) const RETRY_REFRESH: u16 = 5;
