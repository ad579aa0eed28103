//! The distribution of lags. No I/O.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Percentiles of the lags of the latest messages: the time from adding a message to applying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lags {
    /// The number of messages.
    pub(super) messages: usize,
    #[serde(rename = "p50_seconds", serialize_with = "seconds")]
    pub(super) p50: Duration,
    #[serde(rename = "p95_seconds", serialize_with = "seconds")]
    pub(super) p95: Duration,
    #[serde(rename = "max_seconds", serialize_with = "seconds")]
    pub(super) max: Duration,
}

impl Lags {
    /// Returns the percentiles, or `None` without lags.
    pub(super) fn of(lags: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut sorted: Vec<_> = lags.collect();
        sorted.sort_unstable();
        let percentile = |percent: usize| {
            // Nearest rank: the smallest lag that is not exceeded by this share of the messages.
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Some(Self {
            messages: sorted.len(),
            p50: percentile(50)?,
            p95: percentile(95)?,
            max: percentile(100)?,
        })
    }
}

fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_lags_that_occurred() {
        let ms = Duration::from_millis;
        let lags = Lags::of((1..=100).rev().map(ms)).unwrap();
        assert_eq!((lags.p50, lags.p95, lags.max, lags.messages), (ms(50), ms(95), ms(100), 100));
        let one = Lags::of([ms(7)].into_iter()).unwrap();
        assert_eq!((one.p50, one.p95, one.max), (ms(7), ms(7), ms(7)));
        assert_eq!(Lags::of(std::iter::empty()), None);
    }
}
