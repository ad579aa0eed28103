//! Reads all that the streams hold.

use std::time::Duration;

use caracal_revocation_state::{NotReady, Revocations};
use caracal_revocation_stream::{InspectError, Sighting, Watch};
use tokio::time::Instant;

/// How long a history that was read may take to be proven: a replica may be behind its primary.
const PROVEN_WITHIN: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Reads to the end of the streams, and until that is proven or is not going to be.
pub(crate) async fn read(
    watch: &mut Watch,
    mut show: impl FnMut(Sighting<'_>),
) -> Result<(), InspectError> {
    let mut idle_since = None;
    loop {
        let wait = if idle_since.is_some() { PAUSE } else { SHORT };
        let round = watch.round(wait, &mut show).await?;
        if !round.is_idle {
            continue;
        }
        let since = *idle_since.get_or_insert_with(Instant::now);
        if !is_unproven(watch.revocations()) || since.elapsed() >= PROVEN_WITHIN {
            return Ok(());
        }
    }
}

fn is_unproven(state: &Revocations) -> bool {
    state.staleness(state.now()) == Err(NotReady::Replaying)
}
