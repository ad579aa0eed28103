//! Stream keys, and the slots that a key ring holds them in.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::canonical::Canonical;

/// The shortest key that is accepted: the output of SHA-256, as RFC 2104 recommends.
const SHORTEST_KEY: usize = 32;

/// A stream key, which signs messages (contract, "Signatures"): at least 32 bytes, never printed.
///
/// ```
/// use caracal_revocation_event::{Key, KeyError};
/// assert!(matches!(Key::from_hex("abcd"), Err(KeyError::TooShort { bytes: 2 })));
/// assert_eq!(format!("{:?}", Key::from_hex(&"5a".repeat(32))?), "Key(..)");
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// The reason why a stream key could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not an even number of hexadecimal digits.
    #[error("a stream key is an even number of hexadecimal digits")]
    NotHex,
    /// The key has fewer than 32 bytes.
    #[error("a stream key has at least 32 bytes (64 hexadecimal digits); this one has {bytes}")]
    TooShort {
        /// The number of bytes that the text decodes to.
        bytes: usize,
    },
    /// The operating system gave no random bytes for a new key.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl Key {
    /// Parses a key from hexadecimal digits of either case. White space around them, such as a
    /// file's last newline, is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text is not hex or is shorter than 32 bytes. The error never holds
    /// the text.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| KeyError::NotHex)?);
        if bytes.len() < SHORTEST_KEY {
            return Err(KeyError::TooShort { bytes: bytes.len() });
        }
        Self::from_bytes(&bytes)
    }

    /// Generates a random key of 32 bytes, for a stream that exists only as long as this process.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`] when the operating system returns no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0_u8; SHORTEST_KEY]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
        Self::from_bytes(bytes.as_slice())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        // HMAC takes a key of any length, so this error cannot occur; it is mapped, not unwrapped.
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| KeyError::NotHex)
    }

    pub(crate) fn mac(&self, canonical: &Canonical<'_>) -> [u8; 32] {
        self.canonical_hmac(canonical).finalize().into_bytes().into()
    }

    /// Returns the keyed HMAC state before any input.
    pub(crate) fn state(&self) -> Hmac<Sha256> {
        self.0.clone()
    }

    /// Returns `true` if this key created the signature. Compares in constant time.
    pub(crate) fn signed(&self, canonical: &Canonical<'_>, signature: &[u8; 32]) -> bool {
        self.canonical_hmac(canonical).verify_slice(signature).is_ok()
    }

    fn canonical_hmac(&self, canonical: &Canonical<'_>) -> Hmac<Sha256> {
        // Cloning the keyed state saves the two compressions that setting it up costs.
        let mut mac = self.0.clone();
        // Buffered: many short updates would cost more than the hash itself.
        let (mut text, mut len) = ([0; 512], 0);
        canonical.write(
            #[inline(always)]
            |piece| match text.get_mut(len..len + piece.len()) {
                Some(room) => {
                    room.copy_from_slice(piece);
                    len += piece.len();
                }
                None => {
                    mac.update(text.get(..len).unwrap_or_default());
                    mac.update(piece);
                    len = 0;
                }
            },
        );
        mac.update(text.get(..len).unwrap_or_default());
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The key of the ring that signed a message. An operator can remove the previous key once no
/// message uses it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySlot {
    /// The current key: `STREAMS_HMAC_KEY`.
    Current,
    /// The key before it: `STREAMS_HMAC_KEY_PREVIOUS`.
    Previous,
    /// No key: the ring accepts unsigned messages (development only).
    Unsigned,
}

impl KeySlot {
    /// Returns the slot as a metric's label: `current`, `previous` or `unsigned`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Unsigned => "unsigned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_messages_of_any_length_completely() {
        let key = Key::from_hex(&"5a".repeat(32)).unwrap();
        for length in [0, 1, 400, 480, 511, 512, 513, 5_000] {
            let long = vec![b'x'; length];
            let fields: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", &long), (b"c", b"2")];
            let canonical = Canonical::named(["stream", ""], &fields).unwrap();
            let text = [b"stream\na=1\nb=".as_slice(), &long, b"\nc=2\n"].concat();
            let whole: [u8; 32] = key.state().chain_update(&text).finalize().into_bytes().into();
            assert_eq!(key.mac(&canonical), whole, "{length}");
        }
    }
}
