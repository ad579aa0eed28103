//! A zone's policy as its source returns it: modules, data, version and digest.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The policy of a zone: its Rego modules and its data, with a version and a digest.
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
    manifest: Option<Value>,
    covers: Vec<String>,
}

impl PolicyBundle {
    /// Creates an empty bundle of this version (the contract's `policy_set_version_id`).
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            modules: BTreeMap::new(),
            data: Value::Object(serde_json::Map::new()),
            digest: None,
            manifest: None,
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

    /// Sets the digest that the publisher of the bundle computed: the value of [`compute_digest`].
    ///
    /// [`compute_digest`]: Self::compute_digest
    #[must_use]
    pub fn with_digest(mut self, digest: impl Into<String>) -> Self {
        (self.digest, self.manifest) = (Some(digest.into()), None);
        self
    }

    /// Sets the manifest and its digest from Caracal's tables, instead of a digest by
    /// [`compute_digest`](Self::compute_digest): the columns `manifest_json` and `manifest_sha256`
    /// of `policy_set_versions`.
    ///
    /// The bundle is intact if the digest is that of the manifest, and the bundle has a module for
    /// each policy version in the manifest. The module's name is the id of the policy version, with
    /// or without `.rego`. The digest does not cover the text of policy versions: Caracal never
    /// changes one.
    ///
    /// ```
    /// use caracal_revocation_opa::PolicyBundle;
    /// let manifest = serde_json::json!([{ "policy_version_id": "pv-1" }]);
    /// let sha256 = "91b75ab3559277a91e4c37e18e60a405963aa4893f36d8e237f7907a79763f97";
    /// let bundle = PolicyBundle::new("psv-7").with_manifest(manifest, sha256);
    /// assert!(!bundle.is_intact(), "pv-1 is missing");
    /// assert!(bundle.with_module("pv-1.rego", "package caracal.authz").is_intact());
    /// ```
    #[must_use]
    pub fn with_manifest(mut self, manifest: Value, sha256: impl Into<String>) -> Self {
        (self.digest, self.manifest) = (Some(sha256.into()), Some(manifest));
        self
    }

    /// Declares that this version replaces `version`: an invalidation that names `version` is in
    /// force once this bundle is. For a source that may be ahead of the messages.
    #[must_use]
    pub fn covering(mut self, version: impl Into<String>) -> Self {
        self.covers.push(version.into());
        self
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the names and sources of the modules, ordered by name.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.iter().map(|(name, source)| (name.as_str(), source.as_str()))
    }

    /// Returns the data document.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// Returns the digest that the source set, if it set one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Returns `true` if the bundle has this version, or replaces it (see
    /// [`covering`](Self::covering)).
    #[must_use]
    pub fn answers(&self, version: &str) -> bool {
        self.version == version || self.covers.iter().any(|covered| covered == version)
    }

    /// Returns `true` if the digest that the source set is correct: the digest of the modules and
    /// the data, or of a manifest whose policy versions are all present.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let Some(digest) = &self.digest else { return false };
        match &self.manifest {
            None => *digest == self.compute_digest(),
            Some(manifest) => Vec::deserialize(manifest).is_ok_and(|named: Vec<Named<'_>>| {
                named.iter().all(|named| self.holds(named.policy_version_id))
                    && *digest == manifest_digest(&named)
            }),
        }
    }

    fn holds(&self, policy_version: &str) -> bool {
        self.modules.contains_key(policy_version)
            || self.modules.contains_key(&format!("{policy_version}.rego"))
    }

    /// Returns the SHA-256 of the modules and the data, as lower-case hex.
    ///
    /// Each text is hashed after its length in bytes (64 bits, big-endian), so that different
    /// bundles hash different bytes. The members of an object are hashed in byte order of their
    /// names, and numbers as JSON text.
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

/// Omits the policies, which can be long, and the data, which can be confidential.
impl fmt::Debug for PolicyBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBundle")
            .field("version", &self.version)
            .field("modules", &self.modules.keys().collect::<Vec<_>>())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// An entry of a manifest.
#[derive(Serialize, Deserialize)]
struct Named<'a> {
    policy_version_id: &'a str,
}

/// Returns the SHA-256 of the manifest as Caracal writes it, before Postgres adds spaces.
fn manifest_digest(named: &[Named<'_>]) -> String {
    // Serializing strings never fails.
    hex::encode(Sha256::digest(serde_json::to_vec(named).unwrap_or_default()))
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
    fn digest_covers_module_names_sources_and_data() {
        let bundle = |name: &str, source: &str, data: &str| {
            PolicyBundle::new("v")
                .with_module(name, source)
                .with_data(serde_json::from_str(data).unwrap())
                .compute_digest()
        };
        let one = bundle("a", "bc", r#"{"x":1,"y":"z"}"#);
        assert_eq!(one, bundle("a", "bc", r#"{"y":"z","x":1}"#), "member order does not matter");
        for other in [
            bundle("ab", "c", r#"{"x":1,"y":"z"}"#),
            bundle("a", "bc", r#"{"x":"1","y":"z"}"#),
            bundle("a", "bc", r#"{"x":[1],"y":"z"}"#),
            bundle("a", "bc", r#"{"x":1}"#),
        ] {
            assert_ne!(one, other);
        }
    }

    /// The digest of a manifest with two versions, computed with
    /// `printf '[{"policy_version_id":"pv-1"},{"policy_version_id":"pv-2"}]' | sha256sum`.
    const OF_TWO: &str = "e7388625e7afa28ca7927662b2decb5077ef39c5ff1ab43f1847845232968087";

    #[test]
    fn manifest_requires_each_policy_version_it_names() {
        let manifest = |ids: &[&str]| {
            ids.iter().map(|id| serde_json::json!({ "policy_version_id": id })).collect::<Value>()
        };
        let modules = |names: &[&str]| {
            let add = |bundle: PolicyBundle, name: &&str| bundle.with_module(*name, "package a");
            names.iter().fold(PolicyBundle::new("psv-1"), add)
        };
        let both = modules(&["pv-1.rego", "pv-2", "contract.rego"]);
        let two = manifest(&["pv-1", "pv-2"]);
        let intact = both.clone().with_manifest(two.clone(), OF_TWO);
        assert!(intact.is_intact());
        assert_eq!(intact.digest(), Some(OF_TWO));
        let computed = both.compute_digest();
        assert_eq!(intact.compute_digest(), computed);
        for broken in [
            both.clone().with_manifest(two.clone(), computed),
            both.clone().with_manifest(manifest(&["pv-2", "pv-1"]), OF_TWO),
            both.clone().with_manifest(manifest(&["pv-1"]), OF_TWO),
            both.clone().with_manifest(Value::Null, OF_TWO),
            both.with_digest(OF_TWO),
            modules(&["pv-1.rego", "pv-3.rego"]).with_manifest(two, OF_TWO),
        ] {
            assert!(!broken.is_intact(), "{broken:?}");
        }
    }

    #[test]
    fn bundle_without_digest_is_not_intact() {
        assert!(!PolicyBundle::new("v").is_intact());
    }
}
