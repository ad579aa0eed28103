//! Finds and trims the entries of a stream that are no longer needed.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_stream::InspectError;

use crate::entries::Counted;
use crate::groups::GroupReport;
use crate::inspector::{Inspector, KeyReport};
use crate::layout::StreamLayout;

/// The history that a follower replays at its start.
const HISTORY: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of entries at which a count of removable entries stops.
const MAX_COUNTED: u64 = 100_000;

/// The entries that can be trimmed from one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// The stream.
    pub stream: &'static StreamLayout,
    /// The number of its entries.
    pub length: u64,
    /// The first id that is still needed.
    pub keep_from: StreamId,
    /// The reason that `keep_from` is needed: the history, or the entries of a group. Contains the
    /// name of the group unescaped.
    pub kept_for: String,
    /// The number of entries before `keep_from`.
    pub removable: u64,
    /// `true` if the count stopped early: `removable` is then a lower bound.
    pub at_least: bool,
}

impl Inspector {
    /// Returns the plan for this stream, or `None` if the stream does not exist.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn retention(
        &mut self,
        stream: &'static StreamLayout,
    ) -> Result<Option<RetentionPlan>, InspectError> {
        let KeyReport::Stream(report) = self.stream(stream.name).await? else { return Ok(None) };
        let (keep_from, kept_for) = if stream.is_trimmable() {
            self.bound(stream.name).await?
        } else if stream.groups.is_empty() {
            (StreamId::ZERO, "a stream without groups needs its entry".to_owned())
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

    /// Trims the entries of the plan, except those that a group needs by now. Returns the number
    /// removed.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn trim(&mut self, plan: &RetentionPlan) -> Result<u64, InspectError> {
        // Since the plan, a group may have been set back or created.
        let (keep_from, _) = self.bound(plan.stream.name).await?;
        self.trim_before(plan.stream.name, keep_from.min(plan.keep_from)).await
    }

    /// Returns the first id that is still needed, and the reason.
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
        // Entries that were delivered and not acknowledged, and entries that were not delivered.
        let pending = group.oldest_pending.as_ref().map(|it| (it.id, format!("{name}: pending")));
        let unread = (group.last_delivered, format!("{name}: unread"));
        first = pending
            .into_iter()
            .chain([unread])
            .fold(first, |first, needed| if needed.0 < first.0 { needed } else { first });
    }
    first
}
