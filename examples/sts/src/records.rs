//! What stands in for the STS's database: which authority was marked as revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Revoked authority, by zone and id. Marking twice is marking once, as an `UPDATE` would.
#[derive(Clone, Default)]
pub struct Records(Arc<Mutex<BTreeMap<String, u32>>>);

impl Records {
    pub fn mark_revoked(&self, zone: &str, id: &str) {
        *self.marks().entry(format!("{zone}/{id}")).or_default() += 1;
    }

    pub fn is_revoked(&self, zone: &str, id: &str) -> bool {
        self.marks().contains_key(&format!("{zone}/{id}"))
    }

    /// Each record that was marked, and how often its effect ran.
    pub fn all(&self) -> BTreeMap<String, u32> {
        self.marks().clone()
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
