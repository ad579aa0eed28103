//! The stream keys of a schedule: those that producers sign with, and those that readers accept.

use std::sync::{Mutex, MutexGuard};

use caracal_revocation::wire::Key;

use crate::failure::Failure;

pub struct Keys(Mutex<Inner>);

struct Inner {
    /// All keys, by number. Producers sign with the last one.
    all: Vec<(String, Key)>,
    /// The number of the key with which the late producers sign.
    of_late: usize,
    /// The numbers of `STREAMS_HMAC_KEY` and `STREAMS_HMAC_KEY_PREVIOUS`, in this order.
    accepted: Vec<usize>,
}

/// The keys that a reader starts with, the current one first.
pub struct Accepted {
    pub numbers: Vec<usize>,
    pub hex: Vec<String>,
}

impl Keys {
    pub fn new() -> Result<Self, Failure> {
        Ok(Self(Mutex::new(Inner { all: vec![generate()?], of_late: 0, accepted: vec![0] })))
    }

    /// Returns the number of a producer's key, and the key. Late producers may use an older one.
    pub fn signing(&self, is_late: bool) -> (usize, Key) {
        let inner = self.inner();
        let number = if is_late { inner.of_late } else { inner.all.len() - 1 };
        (number, inner.all[number].1.clone())
    }

    /// Generates a new key that readers do not know yet, and gives it to the producers that are not
    /// late.
    pub fn rotate(&self) -> Result<(), Failure> {
        let new = generate()?;
        self.inner().all.push(new);
        Ok(())
    }

    /// Gives the new key to the late producers too.
    pub fn rotate_late(&self) {
        let mut inner = self.inner();
        inner.of_late = inner.all.len() - 1;
    }

    /// Starts readers with the producers' new key from now on: as the previous key next to the one
    /// they had, or as the current key, with the old one as the previous key.
    pub fn learn(&self, as_previous: bool) {
        let mut inner = self.inner();
        let (new, old) = (inner.all.len() - 1, inner.accepted[0]);
        inner.accepted = if as_previous { vec![old, new] } else { vec![new, old] };
    }

    pub fn accepted(&self) -> Accepted {
        let inner = self.inner();
        let hex = inner.accepted.iter().map(|number| inner.all[*number].0.clone()).collect();
        Accepted { numbers: inner.accepted.clone(), hex }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no thread panics here")
    }
}

fn generate() -> Result<(String, Key), Failure> {
    let hex = hex::encode(std::array::from_fn::<u8, 32, _>(|_| fastrand::u8(..)));
    let key = Key::from_hex(&hex)?;
    Ok((hex, key))
}
