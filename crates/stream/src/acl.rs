//! The rights that a user of Redis needs, as words for `ACL SETUSER` or an ACL file.
//!
//! The README, `ops/redis.conf`, `caracal-streams doctor` and the log repeat these lines, and a
//! test compares them.

macro_rules! follow {
    () => {
        "+xread +xinfo +time +info %R~caracal.*"
    };
}
macro_rules! settings {
    () => {
        "+config|get"
    };
}
macro_rules! dead_letters {
    () => {
        "+watch +unwatch +get +set +xadd +multi +exec +discard \
         %RW~{caracal.*.dead}:mark %W~caracal.*.dead"
    };
}

/// Everything that a follower uses: [`FOLLOW`], [`SETTINGS`] and [`DEAD_LETTERS`] in one line.
pub const FOLLOWER: &str = concat!(follow!(), " ", settings!(), " ", dead_letters!());

/// Following the streams: without one of these a follower cannot read.
pub const FOLLOW: &str = follow!();

/// Reading the live settings, to warn of those that lose messages.
pub const SETTINGS: &str = settings!();

/// Writing dead letters, once in a whole fleet.
pub const DEAD_LETTERS: &str = dead_letters!();

/// Sending the messages of a [`Canary`](crate::Canary) and reading them back.
pub const CANARY: &str = "+xadd +xread +time ~caracal.revocation.canary";

/// Writing receipts; see [`Follower::with_receipts`](crate::Follower::with_receipts).
pub const RECEIPTS: &str = "+set %W~caracal.revocation.receipt:*";

/// Reading the receipts of a fleet, as `caracal-streams fleet` does.
pub const FLEET: &str = "+info +scan +mget %R~caracal.revocation.receipt:*";

/// Asking the primary of a replica how far its history is; dead letters and receipts are written
/// there too.
pub const PRIMARY: &str = "+info";

/// Asking a sentinel for the primary.
pub const SENTINEL: &str = "+sentinel|get-master-addr-by-name +sentinel|master";

/// Finding the node of a stream in a cluster, and reading while a slot moves.
pub const CLUSTER: &str = "+cluster|nodes +asking";

/// Choosing another database than 0, where `REDIS_URL` names one.
pub const SELECT: &str = "+select";
