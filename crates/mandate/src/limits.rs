//! The limits and defaults of this crate, with their reasons.

use std::time::Duration;

/// The longest accepted `kid`, in bytes. Caracal's are shorter.
pub(crate) const MAX_KID: usize = 256;

/// The longest accepted document of keys, in bytes (contract, "Mandates").
pub(crate) const MAX_DOCUMENT: usize = 256 * 1024;

/// The default capacity of the mandate cache. An evicted mandate is verified again.
pub(crate) const MAX_MANDATES: u64 = 10_000;

/// The maximum number of known authority records.
pub(crate) const MAX_RECORDS: u64 = 10_000;

/// The maximum number of `kid`s that are remembered after they are no longer published. A zone
/// rotates fewer keys while a mandate lives.
pub(crate) const MAX_REMOVED_KIDS: usize = 32;

/// The default maximum number of hops of a mandate. A route can set another.
pub(crate) const MAX_HOPS: u32 = 10;

/// The default age at which keys are fetched again.
pub(crate) const KEYS_TTL: Duration = Duration::from_secs(5 * 60);

/// The default time for which older keys stay in use while they cannot be fetched.
pub(crate) const KEYS_GRACE: Duration = Duration::from_secs(10 * 60);

/// The default time limit of one whole fetch of the keys.
pub(crate) const KEYS_DEADLINE: Duration = Duration::from_secs(5);

/// The shortest time between two fetches that unknown `kid`s force (contract, "Mandates").
pub(crate) const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// The pause after a failed fetch, so that an unavailable STS is not flooded.
pub(crate) const COOLDOWN: Duration = Duration::from_secs(1);

/// The time after the start of a fetch until which a request waits for it, if older keys are still
/// usable. It is shorter than the deadline of a fetch, for an STS that hangs.
pub(crate) const AGED_WAIT: Duration = Duration::from_secs(1);
