//! Every limit and default of this crate, with its reason.

use std::time::Duration;

/// The longest `kid` that is accepted. Those of Caracal are shorter.
pub(crate) const MAX_KID: usize = 256;

/// The longest document of keys that is read (contract, "Tokens").
pub(crate) const MAX_DOCUMENT: usize = 256 * 1024;

/// How many verified mandates are kept by default. One that is forgotten is verified again.
pub(crate) const MAX_MANDATES: u64 = 10_000;

/// How many authority records are known to have valid mandates.
pub(crate) const MAX_RECORDS: u64 = 10_000;

/// How many keys that are no longer published are remembered by name: more than a zone rotates
/// while a mandate lives.
pub(crate) const MAX_REMOVED_KIDS: usize = 32;

/// How many hops a mandate may have come through, unless its route allows more.
pub(crate) const MAX_HOPS: u32 = 10;

/// How old keys may get by default before they are fetched again.
pub(crate) const KEYS_TTL: Duration = Duration::from_secs(5 * 60);

/// How much longer old keys are used by default while they cannot be fetched.
pub(crate) const KEYS_GRACE: Duration = Duration::from_secs(10 * 60);

/// How long one fetch of the keys may take by default, the whole of it.
pub(crate) const KEYS_DEADLINE: Duration = Duration::from_secs(5);

/// The shortest time between two fetches that unknown kids force (contract, "Tokens").
pub(crate) const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// How long the next fetch waits after a failed one, so that an STS that is away is not flooded.
pub(crate) const COOLDOWN: Duration = Duration::from_secs(1);

/// How long after the start of a fetch a request waits for it, if it can use aged keys: it must not
/// wait out the deadline of an STS that hangs.
pub(crate) const AGED_WAIT: Duration = Duration::from_secs(1);
