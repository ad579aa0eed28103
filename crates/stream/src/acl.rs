//! The rights that a user of Redis needs, in the syntax of `ACL SETUSER` and of ACL files.
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

/// All rights of a follower: [`FOLLOW`], [`SETTINGS`] and [`DEAD_LETTERS`] in one line.
pub const FOLLOWER: &str = concat!(follow!(), " ", settings!(), " ", dead_letters!());

/// Rights for reading the streams. A follower needs all of them.
pub const FOLLOW: &str = follow!();

/// Rights for reading the live settings, to warn of those that can lose messages.
pub const SETTINGS: &str = settings!();

/// Rights for writing dead letters, once in a whole fleet.
pub const DEAD_LETTERS: &str = dead_letters!();

/// Rights for sending the messages of a [`Canary`](crate::Canary) and reading them back.
pub const CANARY: &str = "+xadd +xread +time ~caracal.revocation.canary";

/// Rights for writing receipts; see [`Follower::with_receipts`](crate::Follower::with_receipts).
pub const RECEIPTS: &str = "+set %W~caracal.revocation.receipt:*";

/// Rights for recording used mandates; see [`UsedMandates`](crate::UsedMandates).
pub const SINGLE_USE: &str = "+set %W~seen:jti:*";

/// Rights for reading the receipts of a fleet, as `caracal-streams fleet` does.
pub const FLEET: &str = "+info +scan +mget %R~caracal.revocation.receipt:*";

/// Rights for `caracal-streams drill`, which reads receipts and publishes a revocation.
pub const DRILL: &str =
    "+info +scan +mget +xinfo +xrange %R~caracal.* +xadd %W~caracal.sessions.revoke";

/// Rights at the primary of a replica, for reading its replication offset. Dead letters and
/// receipts are written there too, with their own rights.
pub const PRIMARY: &str = "+info";

/// Rights for asking a sentinel for the primary.
pub const SENTINEL: &str = "+sentinel|get-master-addr-by-name +sentinel|master";

/// Rights for finding the node of a stream in a cluster, and for reading while a slot migrates.
pub const CLUSTER: &str = "+cluster|nodes +asking";

/// Rights for choosing a database, if `REDIS_URL` names one that is not 0.
pub const SELECT: &str = "+select";
