//! A zone's policy as its source returns it: modules, data, version and digest.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Everything that a zone's decisions are made from.
///
/// ```
/// use caracal_revocation_opa::PolicyBundle;
/// let bundle = PolicyBundle::new("v-7")
///     .with_module("authz.rego", "package caracal.authz")
///     .with_data(serde_json::json!({ "grants": [] }));
/// let digest = bundle.compute_digest();
/// assert!(!bundle.clone().with_digest("0000").is_intact());
/// assert!(bundle.with_digest(digest).is_intact());
/// ```
#[derive(Clone, PartialEq)]
pub struct PolicyBundle {
    version: String,
    modules: BTreeMap<String, String>,
    data: Value,
    digest: Option<String>,
    covers: Vec<String>,
}

impl PolicyBundle {
    /// A bundle of this version (the contract's `policy_set_version_id`) with nothing in it.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            modules: BTreeMap::new(),
            data: Value::Object(serde_json::Map::new()),
            digest: None,
            covers: Vec::new(),
        }
    }

    /// Adds a Rego module, or replaces the one of the same name.
    #[must_use]
    pub fn with_module(mut self, name: impl Into<String>, source: impl Into<String>) -> Self {
        self.modules.insert(name.into(), source.into());
        self
    }

    /// Sets the data document; it should be an object.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// The digest that whoever published the bundle computed: [`compute_digest`] as lower-case
    /// hex.
    ///
    /// [`compute_digest`]: Self::compute_digest
    #[must_use]
    pub fn with_digest(mut self, digest: impl Into<String>) -> Self {
        self.digest = Some(digest.into());
        self
    }

    /// States that this version replaces `version`: where that one is awaited, this one is in
    /// force instead. For sources that know their history and may be ahead of the messages.
    #[must_use]
    pub fn covering(mut self, version: impl Into<String>) -> Self {
        self.covers.push(version.into());
        self
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Names and sources of the modules, in the order of their names.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.iter().map(|(name, source)| (name.as_str(), source.as_str()))
    }

    /// The data document.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// The digest that came with it.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether it is of this version, or replaces it.
    #[must_use]
    pub fn answers(&self, version: &str) -> bool {
        self.version == version || self.covers.iter().any(|covered| covered == version)
    }

    /// Whether the digest that came with it is the one of its modules and data.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.digest.as_deref().is_some_and(|digest| digest == self.compute_digest())
    }

    /// The SHA-256 of modules and data, as lower-case hex.
    ///
    /// Every text goes in after its length in bytes (64 bits, big-endian), so that no two bundles
    /// spell the same; an object's members in byte order of their names, numbers as JSON text.
    #[must_use]
    pub fn compute_digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"caracal-policy-1");
        count(&mut hash, self.modules.len());
        for (name, source) in &self.modules {
            text(&mut hash, name);
            text(&mut hash, source);
        }
        value(&mut hash, &self.data);
        hex::encode(hash.finalize())
    }
}

/// Policies can be long, and data can be confidential: neither is shown.
impl fmt::Debug for PolicyBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBundle")
            .field("version", &self.version)
            .field("modules", &self.modules.keys().collect::<Vec<_>>())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

fn count(hash: &mut Sha256, count: usize) {
    hash.update((count as u64).to_be_bytes());
}

fn text(hash: &mut Sha256, text: &str) {
    count(hash, text.len());
    hash.update(text);
}

fn value(hash: &mut Sha256, document: &Value) {
    match document {
        Value::Null => hash.update(b"n"),
        Value::Bool(bool) => hash.update(if *bool { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"#");
            text(hash, &number.to_string());
        }
        Value::String(string) => {
            hash.update(b"s");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"[");
            count(hash, items.len());
            items.iter().for_each(|item| value(hash, item));
        }
        Value::Object(members) => {
            hash.update(b"{");
            count(hash, members.len());
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (name, member) in sorted {
                text(hash, name);
                value(hash, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_every_module_name_source_and_datum() {
        let bundle = |name: &str, source: &str, data: &str| {
            PolicyBundle::new("v")
                .with_module(name, source)
                .with_data(serde_json::from_str(data).unwrap())
                .compute_digest()
        };
        let one = bundle("a", "bc", r#"{"x":1,"y":"z"}"#);
        assert_eq!(one, bundle("a", "bc", r#"{"y":"z","x":1}"#), "order says nothing");
        for other in [
            bundle("ab", "c", r#"{"x":1,"y":"z"}"#),
            bundle("a", "bc", r#"{"x":"1","y":"z"}"#),
            bundle("a", "bc", r#"{"x":[1],"y":"z"}"#),
            bundle("a", "bc", r#"{"x":1}"#),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_bundle_without_a_digest_is_not_intact() {
        assert!(!PolicyBundle::new("v").is_intact());
    }
}
