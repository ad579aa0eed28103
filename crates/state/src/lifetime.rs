//! The time during which a token may be used: one rule for every decision.

use crate::clock::{Moment, UnixSeconds};
use crate::limits::{LEEWAY, LONGEST_LIFETIME};
use crate::verdict::DenyReason;

const LEEWAY_SECONDS: i64 = LEEWAY.as_secs().cast_signed();
const LONGEST_SECONDS: i64 = LONGEST_LIFETIME.as_secs().cast_signed();

/// The seconds in which a token may be used, the leeway included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// The first second in which the token may be used.
    begins: UnixSeconds,
    /// The number of such seconds; zero for a token whose lifetime is too long.
    seconds: u16,
}

impl Lifetime {
    #[inline]
    pub(crate) fn of(iat: UnixSeconds, exp: UnixSeconds) -> Self {
        let lifetime = exp.get().saturating_sub(iat.get());
        let seconds = if lifetime > LONGEST_SECONDS { 0 } else { lifetime + 2 * LEEWAY_SECONDS };
        // Negative if `exp` lies before `iat` by more than both leeways.
        let seconds = u16::try_from(seconds.max(0)).unwrap_or(0);
        Self { begins: iat.earlier_by(LEEWAY), seconds }
    }

    /// Returns `true` if the token may be used at this moment.
    #[inline]
    pub(crate) const fn holds(self, now: Moment) -> bool {
        // One comparison for both ends: before the first second, the difference wraps.
        let since = now.wall.as_secs().wrapping_sub(self.begins.get().cast_unsigned());
        since < self.seconds as u64
    }
}

/// Returns the reason why a token may not be used at this moment. `None` exactly if
/// [`Lifetime::holds`] returns `true`.
pub(crate) fn fault(iat: UnixSeconds, exp: UnixSeconds, now: Moment) -> Option<DenyReason> {
    let now = UnixSeconds::of(now);
    if exp.get().saturating_sub(iat.get()) > LONGEST_SECONDS {
        Some(DenyReason::LifetimeTooLong)
    } else if now >= exp.later_by(LEEWAY) {
        Some(DenyReason::Expired)
    } else if iat > now.later_by(LEEWAY) {
        Some(DenyReason::NotYetValid)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_400_000;

    fn fault(iat: i64, exp: i64, now: Moment) -> Option<DenyReason> {
        super::fault(UnixSeconds::new(iat), UnixSeconds::new(exp), now)
    }

    fn holds(iat: i64, exp: i64, now: Moment) -> bool {
        Lifetime::of(UnixSeconds::new(iat), UnixSeconds::new(exp)).holds(now)
    }

    fn at(second: i64) -> Moment {
        let wall = Duration::from_secs(second.cast_unsigned());
        Moment { monotonic: Duration::from_secs(1), wall }
    }

    #[test]
    fn denies_expired_overlong_and_early_tokens() {
        for (iat, exp, reason) in [
            (0, 3_600, None),
            (0, 3_601, Some(DenyReason::LifetimeTooLong)),
            (0, 7 * 86_400, Some(DenyReason::LifetimeTooLong)),
            (-3_600, 0, None),
            (-3_600, -59, None),
            (-3_600, -60, Some(DenyReason::Expired)),
            (60, 3_660, None),
            (61, 3_661, Some(DenyReason::NotYetValid)),
            // Negative lifetimes: the leeway applies at each end.
            (30, -30, None),
            (0, -60, Some(DenyReason::Expired)),
            (0, -NOW, Some(DenyReason::Expired)),
        ] {
            assert_eq!(fault(NOW + iat, NOW + exp, at(NOW)), reason, "{iat}, {exp}");
            assert_eq!(holds(NOW + iat, NOW + exp, at(NOW)), reason.is_none(), "{iat}, {exp}");
        }
        let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for iat in extremes {
            for exp in extremes {
                assert!(fault(iat, exp, at(NOW)).is_some(), "{iat}, {exp}");
                assert!(!holds(iat, exp, at(NOW)), "{iat}, {exp}");
            }
        }
    }

    proptest! {
        #[test]
        fn holds_exactly_when_there_is_no_fault(
            iat in -10_000_i64..10_000, lifetime in -10_000_i64..10_000, now in 0_i64..20_000,
        ) {
            for base in [0, NOW] {
                let (iat, now) = (base + iat, at(base + now));
                let held = holds(iat, iat + lifetime, now);
                prop_assert_eq!(held, fault(iat, iat + lifetime, now).is_none());
            }
        }
    }
}
