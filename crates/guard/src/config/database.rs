//! The settings of Caracal's Postgres.

use super::file;

const URL: &str = "DATABASE_URL";
const URL_FILE: &str = "DATABASE_URL_FILE";
const CA_FILE: &str = "DATABASE_TLS_CA_FILE";

/// The settings by name. `Debug` hides the values, because an address may contain a password.
#[derive(Clone, Debug)]
pub(crate) struct Database(file::Settings);

impl Database {
    pub(super) fn resolve(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let named = |name: &str| Some((name.to_owned(), lookup(name)?));
        Self(file::Settings([URL, URL_FILE, CA_FILE].into_iter().filter_map(named).collect()))
    }

    /// Returns `true` if an address is configured.
    pub(crate) fn is_set(&self) -> bool {
        [URL, URL_FILE].iter().any(|name| self.0.0.contains_key(*name))
    }

    /// Returns a setting by its name.
    #[cfg(feature = "postgres")]
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.0.get(name).cloned()
    }
}
