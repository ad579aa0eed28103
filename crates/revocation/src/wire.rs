//! Caracal's signed messages: their streams, fields, keys and verification.
//!
//! ```
//! use caracal_revocation::wire::{Key, KeyRing, Message, Stream};
//!
//! assert_eq!(Stream::SessionsRevoke.name(), "caracal.sessions.revoke");
//!
//! let ring = KeyRing::new(Key::generate()?);
//! let fields: [(&[u8], &[u8]); 2] = [(b"zone_id", b"zone-1"), (b"sid", b"session-1")];
//! // An unsigned message never becomes an event.
//! assert!(ring.verify(&Message::new(Stream::SessionsRevoke, &fields)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use caracal_revocation_event::{
    Anchor, Change, DecidedAt, DelegationEpoch, DelegationEvent, Effect, Event, Key, KeyError,
    KeyRing, KeySlot, Message, MessageBuilder, MessageRejection, MessageRejectionKind, OccurredAt,
    ParseStreamIdError, PolicyReload, Resumption, Stream, StreamId, Suspension, Zone,
};
