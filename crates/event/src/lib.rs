//! Caracal's signed stream messages: parsed, verified, and signed, without any I/O.
//!
//! A [`Message`] is untrusted: any writer to Redis may have put it there. The only way from it to
//! an [`Event`], and so to any change of state, is [`KeyRing::verify`]:
//!
//! ```
//! use caracal_revocation_event::{Change, Key, KeyRing, Message, Stream, sign};
//!
//! let key = Key::from_hex(&"ab".repeat(32))?;
//! let ring = KeyRing::new(key.clone());
//!
//! let mut fields = vec![("zone_id".to_owned(), "z-1".to_owned()), ("sid".into(), "ar-1".into())];
//! sign(&key, Stream::SessionsRevoke, &mut fields);
//!
//! let wire: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
//! let event = ring.verify(&Message::new(Stream::SessionsRevoke, &wire))?;
//! assert!(matches!(event.changes(), [Change::Revoke(anchor)] if anchor.as_str() == "ar-1"));
//!
//! // The same fields on another stream are not what was signed.
//! assert!(ring.verify(&Message::new(Stream::KeysInvalidate, &wire)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In reading order: [`Stream`] and [`StreamId`] name a message's place; [`Message`] is its
//! untrusted form; [`KeyRing`] holds the accepted keys; [`Event`] and [`Change`] are the content of
//! a verified message; [`MessageRejection`] is the reason why a message is rejected;
//! [`MessageBuilder`] builds the messages of Caracal's own producers, for [`sign`] to sign;
//! [`sign_for`] signs for a stream of any name.
//!
//! The *contract* is `docs/wire-contract.md` in the repository, cited by its sections.

mod canonical;
mod change;
mod decode;
mod effect;
mod event;
mod key;
mod key_ring;
mod message;
mod message_builder;
mod rejection;
mod seal;
mod sign;
mod stream;
mod timestamps;

pub use canonical::canonical_form;
pub use change::{Anchor, Change, DelegationEpoch, PolicyReload, Resumption, Suspension, Zone};
pub use effect::Effect;
pub use event::Event;
pub use key::{Key, KeyError, KeySlot};
pub use key_ring::KeyRing;
pub use message::Message;
pub use message_builder::{DelegationEvent, MessageBuilder};
pub use rejection::{MessageRejection, MessageRejectionKind};
pub use seal::SEAL_LEN;
pub use sign::{CANARY_STREAM, sign, sign_canary, sign_dead_letter, sign_for};
pub use stream::{ParseStreamIdError, Stream, StreamId};
pub use timestamps::{DecidedAt, OccurredAt};
