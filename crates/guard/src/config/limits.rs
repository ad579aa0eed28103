//! The limits of listeners and of the reverse proxy.

use std::time::Duration;

use super::error::ConfigError;
use super::file;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest number of open connections of each listener.
    pub(crate) connections: u32,
    /// The time in which a client must send the headers of a request.
    pub(crate) header_timeout: Duration,
    /// The time after which a connection without requests is closed.
    pub(crate) idle: Duration,
    /// The time that data may wait for a client that does not read.
    pub(crate) unread: Duration,
    /// The time that running requests have to end after a signal to stop.
    pub(crate) drain: Duration,
    /// The largest number of headers of a request.
    pub(crate) headers: usize,
    /// The largest size of all headers of a request, in bytes.
    pub(crate) header_bytes: u32,
    /// The largest number of concurrent requests of an HTTP/2 connection.
    pub(crate) streams: u32,
    /// The time in which the reverse proxy must reach the service, with TLS.
    pub(crate) connect: Duration,
    /// The time in which the service must begin its response. Each part of an upload that it takes
    /// starts the time again.
    pub(crate) response: Duration,
    /// The time that the client may pause in an upload, until the response begins.
    pub(crate) upload: Duration,
}

/// The least size of hyper's buffer for headers.
const LEAST_HEADER_BYTES: u32 = 8 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            unread: Duration::from_secs(20),
            drain: Duration::from_secs(10),
            headers: 100,
            header_bytes: 32 * 1024,
            streams: 200,
            connect: Duration::from_secs(3),
            response: Duration::from_secs(60),
            upload: Duration::from_secs(60),
        }
    }
}

impl Limits {
    pub(super) fn resolve(file: &file::Limits) -> Result<Self, ConfigError> {
        let or = |value: Option<u64>, default| value.map_or(default, Duration::from_millis);
        let default = Self::default();
        let limits = Self {
            connections: file.connections.unwrap_or(default.connections),
            header_timeout: or(file.header_timeout_ms, default.header_timeout),
            idle: or(file.idle_ms, default.idle),
            unread: or(file.unread_ms, default.unread),
            drain: or(file.drain_ms, default.drain),
            headers: file.headers.unwrap_or(default.headers),
            header_bytes: file.header_bytes.unwrap_or(default.header_bytes),
            streams: file.streams.unwrap_or(default.streams),
            connect: or(file.connect_ms, default.connect),
            response: or(file.response_ms, default.response),
            upload: or(file.upload_ms, default.upload),
        };
        let is_zero = [
            ("connections", limits.connections == 0),
            ("header_timeout_ms", limits.header_timeout.is_zero()),
            ("idle_ms", limits.idle.is_zero()),
            ("unread_ms", limits.unread.is_zero()),
            ("headers", limits.headers == 0),
            ("streams", limits.streams == 0),
            ("connect_ms", limits.connect.is_zero()),
            ("response_ms", limits.response.is_zero()),
            ("upload_ms", limits.upload.is_zero()),
        ];
        if let Some((key, _)) = is_zero.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::new(format!("limits.{key}"), "must be above 0"));
        }
        if limits.header_bytes < LEAST_HEADER_BYTES {
            let problem = format!("must be at least {LEAST_HEADER_BYTES}");
            return Err(ConfigError::new("limits.header_bytes", problem));
        }
        Ok(limits)
    }
}
