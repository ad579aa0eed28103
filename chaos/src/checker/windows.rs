//! When a reader was cut off from Redis, as the harness that did it knows.

use std::time::Duration;

use crate::history::Injected;
use crate::time::At;

/// A stretch of time in which a reader could not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) began: At,
    /// Redis was back.
    pub(super) ended: At,
}

/// The windows of one reader, in order, apart from each other.
#[derive(Debug)]
pub(super) struct Windows(Vec<Window>);

impl Windows {
    /// Windows with less than a recovery between them are one: nothing can be asked of the gap.
    pub(super) fn of(
        faults: &[Injected],
        reader: usize,
        recovery: impl Fn(At) -> Duration,
    ) -> Self {
        let mut windows: Vec<_> = faults
            .iter()
            .filter(|fault| fault.disturbs && fault.scope.includes(reader))
            .map(|fault| Window { began: fault.began, ended: fault.ended })
            .collect();
        windows.sort_by_key(|window| window.began);
        let mut apart: Vec<Window> = Vec::new();
        for window in windows {
            match apart.last_mut() {
                Some(last) if window.began <= last.ended.plus(recovery(last.ended)) => {
                    last.ended = last.ended.max(window.ended);
                }
                _ => apart.push(window),
            }
        }
        Self(apart)
    }

    /// The last one that began by then.
    pub(super) fn last_before(&self, at: At) -> Option<Window> {
        let after = self.0.partition_point(|window| window.began <= at);
        self.0[..after].last().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Window> {
        self.0.iter().copied()
    }
}
