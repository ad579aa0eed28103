//! When a token may be used: one rule for every decision, and the longest lifetime.

use std::time::Duration;

use crate::{Moment, Reason};

/// The longest lifetime of a mandate, from `iat` to `exp`: a token that lives longer is denied.
///
/// Everything that must outlast a token is measured by it: how long revocations are remembered, how
/// much history is read at a start, and how long a horizon concerns anybody.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How far the clocks of the issuer and of this machine may be apart: a token may be used so long
/// before its `iat` and after its `exp`.
pub const LEEWAY: Duration = Duration::from_secs(60);

const LEEWAY_SECONDS: i64 = LEEWAY.as_secs().cast_signed();
const LONGEST_SECONDS: i64 = LONGEST_LIFETIME.as_secs().cast_signed();

/// The seconds in which a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// The first of them, since the Unix epoch.
    begins: i64,
    /// How many there are: none of a token that lives too long.
    seconds: u16,
}

impl Lifetime {
    #[inline]
    pub(crate) fn of(iat: i64, exp: i64) -> Self {
        let lifetime = exp.saturating_sub(iat);
        let seconds = if lifetime > LONGEST_SECONDS { 0 } else { lifetime + 2 * LEEWAY_SECONDS };
        // Below zero where `exp` lies before `iat` by more than the leeway.
        let seconds = u16::try_from(seconds.max(0)).unwrap_or(0);
        Self { begins: iat.saturating_sub(LEEWAY_SECONDS), seconds }
    }

    /// Returns `true` if the token may be used at this moment.
    #[inline]
    pub(crate) const fn holds(self, now: Moment) -> bool {
        // One comparison for both ends: before the first second, the difference wraps.
        let since = now.wall.as_secs().wrapping_sub(self.begins.cast_unsigned());
        since < self.seconds as u64
    }
}

/// Returns why a token may not be used at this moment, if it may not: where
/// [`Lifetime::holds`] is false.
pub(crate) fn fault(iat: i64, exp: i64, now: Moment) -> Option<Reason> {
    let now = now.wall.as_secs().cast_signed();
    if exp.saturating_sub(iat) > LONGEST_SECONDS {
        Some(Reason::LifetimeTooLong)
    } else if now >= exp.saturating_add(LEEWAY_SECONDS) {
        Some(Reason::Expired)
    } else if iat > now.saturating_add(LEEWAY_SECONDS) {
        Some(Reason::NotYetValid)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_400_000;

    fn at(second: i64) -> Moment {
        let wall = Duration::from_secs(second.cast_unsigned());
        Moment { monotonic: Duration::from_secs(1), wall }
    }

    #[test]
    fn denies_expired_overlong_and_early_tokens() {
        for (iat, exp, reason) in [
            (0, 3_600, None),
            (0, 3_601, Some(Reason::LifetimeTooLong)),
            (0, 7 * 86_400, Some(Reason::LifetimeTooLong)),
            (-3_600, 0, None),
            (-3_600, -59, None),
            (-3_600, -60, Some(Reason::Expired)),
            (60, 3_660, None),
            (61, 3_661, Some(Reason::NotYetValid)),
            // Half of both: the leeway at each end.
            (30, -30, None),
            (0, -60, Some(Reason::Expired)),
            (0, -NOW, Some(Reason::Expired)),
        ] {
            assert_eq!(fault(NOW + iat, NOW + exp, at(NOW)), reason, "{iat}, {exp}");
        }
        let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for iat in extremes {
            for exp in extremes {
                assert!(fault(iat, exp, at(NOW)).is_some(), "{iat}, {exp}");
                assert!(!Lifetime::of(iat, exp).holds(at(NOW)), "{iat}, {exp}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_comparison_holds_where_nothing_is_at_fault(
            iat in -10_000_i64..10_000, lifetime in -10_000_i64..10_000, now in 0_i64..20_000,
        ) {
            for base in [0, NOW] {
                let (iat, now) = (base + iat, at(base + now));
                let held = Lifetime::of(iat, iat + lifetime).holds(now);
                prop_assert_eq!(held, fault(iat, iat + lifetime, now).is_none());
            }
        }
    }
}
