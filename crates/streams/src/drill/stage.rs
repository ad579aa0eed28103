//! The stages of a drill, at which it can fail.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::outcome::Failure;

/// A stage of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Redis can be read.
    Connect,
    /// The stream key is the one that the streams are signed with.
    Key,
    /// Redis confirmed the message.
    Published,
    /// Every replica applied the message.
    Applied,
    /// Every expected replica writes receipts.
    Present,
    /// Every service is ready.
    Ready,
    /// The service denies the token.
    Denied,
}

impl Stage {
    /// Every stage, in the order of a drill.
    pub(super) const ALL: [Self; 7] = [
        Self::Connect,
        Self::Key,
        Self::Published,
        Self::Applied,
        Self::Present,
        Self::Ready,
        Self::Denied,
    ];

    /// Returns the name in JSON and in labels.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Key => "key",
            Self::Published => "published",
            Self::Applied => "applied",
            Self::Present => "present",
            Self::Ready => "ready",
            Self::Denied => "denied",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// The reason that a drill gives no answer, and the stage at which it ended.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) stage: Stage,
    pub(super) failure: Failure,
}

impl Stage {
    /// Returns a function that adds this stage to a failure.
    pub(super) fn failed<E: Into<Failure>>(self) -> impl Fn(E) -> NoAnswer {
        move |failure| NoAnswer { stage: self, failure: failure.into() }
    }
}
