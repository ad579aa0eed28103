//! A verified message: the only thing that can change state.

use std::borrow::Cow;

use crate::change::{Change, Zone};
use crate::effect::Effect;
use crate::key::KeySlot;
use crate::stream::Stream;
use crate::timestamps::DecidedAt;

/// The content of a message whose signature was verified by [`KeyRing::verify`].
///
/// [`KeyRing::verify`]: crate::KeyRing::verify
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub(crate) stream: Stream,
    pub(crate) key: KeySlot,
    pub(crate) zone: Option<Zone<'a>>,
    pub(crate) reason: Option<Cow<'a, str>>,
    pub(crate) decided: Option<DecidedAt>,
    pub(crate) changes: Vec<Change<'a>>,
    pub(crate) recut: bool,
}

impl<'a> Event<'a> {
    /// Returns the stream that the message was signed for.
    #[must_use]
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// Returns the accepted key that signed the message.
    #[must_use]
    pub const fn key(&self) -> KeySlot {
        self.key
    }

    /// Returns the zone that the message concerns, if it names one.
    #[must_use]
    pub const fn zone(&self) -> Option<&Zone<'a>> {
        self.zone.as_ref()
    }

    /// Returns the producer's reason, as free text.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the time at which the producer decided the change, if the message carries that time.
    #[must_use]
    pub const fn decided(&self) -> Option<DecidedAt> {
        self.decided
    }

    /// Returns the changes. Empty for a message that changes nothing here, such as a `spawn`.
    #[must_use]
    pub fn changes(&self) -> &[Change<'a>] {
        &self.changes
    }

    /// Returns `true` if a value was set aside, or a field hides text that looks like another
    /// field (contract, "Ambiguous messages"). The message then also belongs in the dead-letter
    /// stream, and its meaning may be lost.
    #[must_use]
    pub const fn is_recut(&self) -> bool {
        self.recut
    }

    /// Returns the changes in a form that serializes, for people and programs to read.
    #[must_use]
    pub fn effect(&self) -> Effect<'_> {
        Effect::of(&self.changes)
    }
}
