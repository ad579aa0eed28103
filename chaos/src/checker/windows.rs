//! The periods in which a reader was cut off from Redis, as the harness recorded them.

use std::time::Duration;

use crate::history::Injected;
use crate::time::At;

/// A period in which a reader could not follow the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) began: At,
    /// The time at which Redis was back.
    pub(super) ended: At,
}

/// The windows of one reader, in order and without overlap.
#[derive(Debug)]
pub(super) struct Windows(Vec<Window>);

impl Windows {
    /// Joins windows with less than a recovery between them: the reader has no time to recover
    /// there.
    pub(super) fn of(faults: &[Injected], reader: usize, recovery: Duration) -> Self {
        let mut windows: Vec<_> = faults
            .iter()
            .filter(|fault| fault.disturbs && fault.scope.includes(reader))
            .map(|fault| Window { began: fault.began, ended: fault.ended })
            .collect();
        windows.sort_by_key(|window| window.began);
        let mut apart: Vec<Window> = Vec::new();
        for window in windows {
            match apart.last_mut() {
                Some(last) if window.began <= last.ended.plus(recovery) => {
                    last.ended = last.ended.max(window.ended);
                }
                _ => apart.push(window),
            }
        }
        Self(apart)
    }

    /// Returns the last window that began by this time.
    pub(super) fn last_before(&self, at: At) -> Option<Window> {
        let after = self.0.partition_point(|window| window.began <= at);
        self.0[..after].last().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Window> {
        self.0.iter().copied()
    }
}
