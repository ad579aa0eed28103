//! The reason why a running request was cut, and the part that ended first.

use crate::claims::AnchorKind;
use crate::unknown::UnknownCause;
use crate::verdict::Denial;

/// The reason why a running request must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// A new request on the same token would be denied.
    Denied(Denial),
    /// The token's `exp`, and the grace after it, have passed.
    Expired,
    /// The verdict has been unknown for longer than the bound, and the route is configured to cut
    /// then.
    Unknown(UnknownCause),
}

/// The part of a request that was cut: the first one that had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CutPoint {
    /// A handler that had not answered yet.
    Handler,
    /// The request's body, while it was read.
    Upload,
    /// A response's body.
    Response,
    /// A response with server-sent events.
    EventStream,
    /// A gRPC response.
    Grpc,
    /// A task that awaited the signal, such as that of a WebSocket.
    Signal,
}

/// A report of a cut, sent once for each request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CutReport<'a> {
    /// The reason for the cut.
    pub cut: Cut,
    /// The part that was cut.
    pub part: CutPoint,
    /// The zone that the claims name.
    pub zone: Option<&'a str>,
}

impl Cut {
    /// Returns the reason as a label: `revoked`, `suspended`, `delegation_stale`,
    /// `history_incomplete`, `expired` or `unknown`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.reason().label(),
            Self::Expired => "expired",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the claim that contains the denied anchor, if the cut is about an anchor.
    #[must_use]
    pub const fn anchor(self) -> Option<AnchorKind> {
        match self {
            Self::Denied(denial) => denial.anchor(),
            Self::Expired | Self::Unknown(_) => None,
        }
    }
}

impl CutPoint {
    /// Every part.
    pub const ALL: [Self; 6] =
        [Self::Handler, Self::Upload, Self::Response, Self::EventStream, Self::Grpc, Self::Signal];

    /// Returns the part as a label, such as `event_stream`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Upload => "upload",
            Self::Response => "response",
            Self::EventStream => "event_stream",
            Self::Grpc => "grpc",
            Self::Signal => "signal",
        }
    }
}
