//! The records of revoked authority, in place of the STS's database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The records of revoked authority, by zone and id. A second mark changes nothing, like an SQL
/// `UPDATE`.
#[derive(Clone, Default)]
pub struct Records(Arc<Mutex<BTreeMap<String, u32>>>);

impl Records {
    pub fn mark_revoked(&self, zone: &str, id: &str) {
        *self.marks().entry(format!("{zone}/{id}")).or_default() += 1;
    }

    pub fn is_revoked(&self, zone: &str, id: &str) -> bool {
        self.marks().contains_key(&format!("{zone}/{id}"))
    }

    /// Returns each marked record, and how many times its effect ran.
    pub fn all(&self) -> BTreeMap<String, u32> {
        self.marks().clone()
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
