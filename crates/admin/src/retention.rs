//! What could be trimmed from a stream without losing anything that is still needed.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;

use crate::entries::Counted;
use crate::groups::GroupReport;
use crate::inspector::{Inspector, KeyReport};
use crate::layout::StreamLayout;

/// History that a follower replays at its start.
const HISTORY: Duration = Duration::from_secs(24 * 60 * 60);
/// Entries beyond so many are not counted.
const MAX_COUNTED: u64 = 100_000;

/// What could be trimmed from one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// The stream.
    pub stream: &'static StreamLayout,
    /// How many entries it has.
    pub length: u64,
    /// Entries before this id are not needed.
    pub keep_from: StreamId,
    /// What is needed first: the history, or a group's entries. Holds the group's name as it
    /// stands in Redis.
    pub kept_for: String,
    /// How many entries stand before it.
    pub removable: u64,
    /// There are more than were counted.
    pub at_least: bool,
}

impl Inspector {
    /// What could be trimmed from this stream, if it is there.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say.
    pub async fn retention(
        &mut self,
        stream: &'static StreamLayout,
    ) -> Result<Option<RetentionPlan>, InspectError> {
        let KeyReport::Stream(report) = self.stream(stream.name).await? else { return Ok(None) };
        let (keep_from, kept_for) = if stream.is_trimmable() {
            self.bound(stream.name).await?
        } else if stream.groups.is_empty() {
            (StreamId::ZERO, "its entries keep it there".to_owned())
        } else {
            (StreamId::ZERO, "Caracal's Audit service replays them".to_owned())
        };
        let mut before = Counted::default();
        if keep_from > StreamId::ZERO {
            let (first, last) = (StreamId::ZERO, keep_from.before());
            before = self.count(stream.name, first, last, MAX_COUNTED).await?;
        }
        let (length, removable, at_least) = (report.length, before.entries, before.has_more);
        Ok(Some(RetentionPlan { stream, length, keep_from, kept_for, removable, at_least }))
    }

    /// Trims what the plan names, as far as it is still not needed; how many entries that were.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis refuses.
    pub async fn trim(&mut self, plan: &RetentionPlan) -> Result<u64, InspectError> {
        // Since the plan a group may have been set back, or made anew.
        let (keep_from, _) = self.bound(plan.stream.name).await?;
        self.trim_before(plan.stream.name, keep_from.min(plan.keep_from)).await
    }

    /// The first id that is still needed, and for what.
    async fn bound(&mut self, name: &str) -> Result<(StreamId, String), InspectError> {
        let now = self.time().await?;
        let groups = match self.stream(name).await? {
            KeyReport::Stream(report) => self.groups(name, &report).await?,
            KeyReport::Missing | KeyReport::NoStream => Vec::new(),
        };
        Ok(needed_from(now, &groups))
    }
}

fn needed_from(now: Duration, groups: &[GroupReport]) -> (StreamId, String) {
    let history = now.saturating_sub(HISTORY).as_millis();
    let history = StreamId::new(u64::try_from(history).unwrap_or(0), 0);
    let mut first = (history, "24 h of history".to_owned());
    for group in groups {
        let name = &group.name;
        // What was delivered and not finished, and what was not delivered.
        let pending = group.oldest_pending.as_ref().map(|it| (it.id, format!("{name}: pending")));
        let unread = (group.last_delivered, format!("{name}: unread"));
        first = pending
            .into_iter()
            .chain([unread])
            .fold(first, |first, needed| if needed.0 < first.0 { needed } else { first });
    }
    first
}
