//! Seals prove that a holder of the stream key wrote some bytes, such as a snapshot file.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::key::Key;
use crate::key_ring::KeyRing;

/// The number of bytes of a seal.
pub const SEAL_LEN: usize = 32;

/// The prefix of the text from which a key is derived. No message begins with it.
const DERIVED: &[u8] = b"caracal-revocation/seal/";

impl Key {
    /// Seals these bytes with a key that is derived from this one for this purpose. A seal is
    /// therefore never valid as a signature, nor for another purpose.
    ///
    /// ```
    /// use caracal_revocation_event::{Key, KeyRing};
    /// let key = Key::generate()?;
    /// let seal = key.seal("snapshot", b"bytes");
    /// let ring = KeyRing::new(Key::generate()?).with_previous(key);
    /// assert!(ring.is_sealed("snapshot", b"bytes", &seal));
    /// assert!(!ring.is_sealed("snapshot", b"other bytes", &seal));
    /// assert!(!ring.is_sealed("another purpose", b"bytes", &seal));
    /// # Ok::<(), caracal_revocation_event::KeyError>(())
    /// ```
    #[must_use]
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> [u8; SEAL_LEN] {
        self.seal_hmac(purpose, bytes).finalize().into_bytes().into()
    }

    fn seal_hmac(&self, purpose: &str, bytes: &[u8]) -> Hmac<Sha256> {
        let mut derive = self.state();
        derive.update(DERIVED);
        derive.update(purpose.as_bytes());
        // `new` takes a key of the full block size and cannot fail.
        let derived: hmac::digest::Key<Hmac<Sha256>> =
            padded_to_block(&derive.finalize().into_bytes());
        let mut seal = Hmac::<Sha256>::new(&derived);
        seal.update(bytes);
        seal
    }
}

/// Returns the derived key, padded with zeros to a block, as HMAC pads every shorter key.
fn padded_to_block(short: &[u8]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
    key.iter_mut().zip(short).for_each(|(to, from)| *to = *from);
    key
}

impl KeyRing {
    /// Returns `true` if a key of this ring sealed these bytes for this purpose. A ring that
    /// accepts unsigned messages has no key. Compares in constant time.
    #[must_use]
    pub fn is_sealed(&self, purpose: &str, bytes: &[u8], seal: &[u8; SEAL_LEN]) -> bool {
        self.keys().any(|key| key.seal_hmac(purpose, bytes).verify_slice(seal).is_ok())
    }
}
