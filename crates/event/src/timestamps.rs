//! The two times in a message: when something occurred, and when that was decided.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The time at which a suspension or its end occurred: the start of the transaction that decided
/// it. A dedupe key ends with this time (contract, "Suspension and termination").
///
/// ```
/// use caracal_revocation_event::OccurredAt;
/// let at = OccurredAt::parse("2026-11-20T10:00:00.123Z").unwrap();
/// assert_eq!(at.to_string(), "2026-11-20T10:00:00.123Z");
/// assert_eq!(at.floor_seconds(), 1_795_168_800);
/// assert_eq!(OccurredAt::parse("yesterday"), None);
/// assert_eq!(OccurredAt::from_unix(std::time::Duration::from_millis(1_795_168_800_123)), Some(at));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i128", try_from = "i128")]
pub struct OccurredAt(jiff::Timestamp);

impl From<OccurredAt> for i128 {
    /// Returns the nanoseconds since the Unix epoch.
    fn from(at: OccurredAt) -> Self {
        at.0.as_nanosecond()
    }
}

impl TryFrom<i128> for OccurredAt {
    type Error = jiff::Error;

    fn try_from(nanos: i128) -> Result<Self, Self::Error> {
        jiff::Timestamp::from_nanosecond(nanos).map(Self)
    }
}

impl OccurredAt {
    /// Parses an ISO 8601 text with a date, a time and an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// Returns the moment `since` after the Unix epoch, to the millisecond.
    #[must_use]
    pub fn from_unix(since: std::time::Duration) -> Option<Self> {
        let ms = i64::try_from(since.as_millis()).ok()?;
        jiff::Timestamp::from_millisecond(ms).ok().map(Self)
    }

    /// Returns whole seconds since the Unix epoch, rounded down, to compare with a token's `iat`.
    #[must_use]
    pub fn floor_seconds(self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000).try_into().unwrap_or(i64::MAX)
    }
}

impl fmt::Display for OccurredAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// The time at which a message was decided, in milliseconds since the Unix epoch: the first 48 bits
/// of an `outbox_id` that is a UUIDv7 (contract, "Messages").
///
/// ```
/// use caracal_revocation_event::DecidedAt;
/// let at = DecidedAt::from_outbox_id("0198b0c2-7d10-7a11-8f00-000000000001").unwrap();
/// assert_eq!(at.as_millis(), 0x0198_b0c2_7d10);
/// assert_eq!(DecidedAt::from_outbox_id("o-52"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DecidedAt(u64);

impl DecidedAt {
    /// Returns the time in `outbox_id`, if that is a UUID of version 7.
    #[must_use]
    pub fn from_outbox_id(outbox_id: &str) -> Option<Self> {
        let id: Uuid = outbox_id.parse::<uuid::fmt::Hyphenated>().ok()?.into_uuid();
        (id.get_version_num() == 7).then(|| Self((id.as_u64_pair().0) >> 16))
    }

    /// Returns the time `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn at_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}
