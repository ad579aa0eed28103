//! What the index holds about a token, anchor by anchor.

use std::ops::ControlFlow;

use crate::claims::AnchorKind;
use crate::index::Mark;

/// What the index holds about a token.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What it holds against it; a revocation outweighs a suspension.
    pub(crate) strongest: Option<(AnchorKind, Mark)>,
    /// Whether a session of it was suspended and resumed before the token was made.
    pub(crate) resumed: bool,
}

impl Found {
    #[inline]
    pub(crate) fn look<A>(
        mut anchors: impl Iterator<Item = (AnchorKind, A)>,
        mark: impl Fn(A) -> Option<Mark>,
        iat: i64,
    ) -> Self {
        let mut found = Self::default();
        // Not a `for` loop: over a chain of iterators that would ask at each step which one is
        // next.
        let revoked = anchors.try_for_each(|(kind, anchor)| {
            match mark(anchor) {
                Some(Mark::Revoked) => return ControlFlow::Break((kind, Mark::Revoked)),
                Some(Mark::Suspended) => found.strongest = Some((kind, Mark::Suspended)),
                Some(Mark::RefusedUpTo(second)) if iat <= second => {
                    found.strongest = found.strongest.or(Some((kind, Mark::RefusedUpTo(second))));
                }
                Some(Mark::RefusedUpTo(_)) => found.resumed = true,
                None => {}
            }
            ControlFlow::Continue(())
        });
        found.strongest = revoked.break_value().or(found.strongest);
        found
    }
}
