//! The messages that consumer groups lose because the stream was trimmed before they read them.

use std::collections::BTreeMap;

use caracal_revocation_admin::{Inspector, KeyReport};
use caracal_revocation_event::Stream;
use caracal_revocation_stream::InspectError;

const STREAM: Stream = Stream::SessionsRevoke;

/// The number of messages that each group has lost, by its name.
pub(super) type Losses = BTreeMap<String, u64>;

/// Returns the losses up to now.
pub(super) async fn read(inspector: &mut Inspector) -> Result<Losses, InspectError> {
    let KeyReport::Stream(report) = inspector.stream(STREAM.name()).await? else {
        return Ok(Losses::new());
    };
    let groups = inspector.groups(STREAM.name(), &report).await?;
    Ok(groups.into_iter().filter_map(|group| Some((group.name, group.lost?))).collect())
}

/// Returns the losses that were added between two readings.
pub(super) fn added(before: &Losses, after: &Losses) -> Losses {
    let added = after.iter().map(|(group, lost)| {
        (group.clone(), lost.saturating_sub(before.get(group).copied().unwrap_or(0)))
    });
    added.filter(|(_, lost)| *lost > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_losses_count() {
        let of = |losses: &[(&str, u64)]| -> Losses {
            losses.iter().map(|(group, lost)| ((*group).to_owned(), *lost)).collect()
        };
        let before = of(&[("a", 7), ("b", 0)]);
        let after = of(&[("a", 7), ("b", 2), ("c", 3)]);
        assert_eq!(added(&before, &after), of(&[("b", 2), ("c", 3)]));
        assert_eq!(added(&after, &before), Losses::new());
    }
}
