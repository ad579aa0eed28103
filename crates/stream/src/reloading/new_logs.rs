//! The logs that a reload reads.

use caracal_revocation_state::Revocations;

use crate::redis_log::RedisLog;
use crate::topology::{Topology, Upstream};
use crate::wire::Certificates;

/// Returns new logs, which together have every stream. Their connections are not open yet.
pub(crate) type NewLogs<L> = Box<dyn Fn() -> Vec<L> + Send + Sync>;

/// Returns the logs of each reload. They only read, so a replica without its primary is enough.
pub(crate) fn redis_logs(
    topology: Topology,
    certificates: Certificates,
    insecure_unproven: bool,
    revocations: Revocations,
) -> NewLogs<RedisLog> {
    Box::new(move || {
        let upstreams = Upstream::all(&topology, &certificates, &revocations);
        upstreams.into_iter().map(|one| RedisLog::new(one, None, insecure_unproven)).collect()
    })
}
