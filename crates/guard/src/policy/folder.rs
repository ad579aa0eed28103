//! The policy of the zone, in a folder.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use caracal_revocation::policy::{PolicyBundle, PolicyRequest, PolicySource, SourceError};

/// The file with the id of the policy's version, as Caracal announces it.
const VERSION: &str = "version";
const DATA: &str = "data.json";

/// Reads `*.rego`, `data.json` and `version`. Without `version`, the version is a part of the
/// digest. This source computes the digest itself, because it trusts the disk.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Reads the policy. A folder without Rego is an error.
    pub(super) fn read(&self) -> Result<PolicyBundle, Error> {
        let mut bundle = PolicyBundle::new("");
        for entry in std::fs::read_dir(&self.0)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "rego") {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                bundle = bundle.with_module(name, std::fs::read_to_string(&file)?);
            }
        }
        if bundle.modules().next().is_none() {
            return Err(Error::new(ErrorKind::NotFound, "there is no *.rego file"));
        }
        if let Some(data) = self.optional(DATA)? {
            let data = serde_json::from_str(&data);
            bundle = bundle.with_data(data.map_err(|_| invalid("data.json is not JSON"))?);
        }
        let digest = bundle.compute_digest();
        let version = match self.optional(VERSION)? {
            Some(version) if version.trim().is_empty() => return Err(invalid("version is empty")),
            Some(version) => version.trim().to_owned(),
            None => digest.chars().take(12).collect(),
        };
        let versioned = PolicyBundle::new(version).with_data(bundle.data().clone());
        let versioned = bundle
            .modules()
            .fold(versioned, |versioned, (name, source)| versioned.with_module(name, source));
        Ok(versioned.with_digest(digest))
    }

    /// Returns the text of a file, or `None` if there is no such file.
    fn optional(&self, name: &str) -> Result<Option<String>, Error> {
        match std::fs::read_to_string(self.0.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn invalid(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidData, problem)
}

impl PolicySource for Folder {
    /// Reads the policy, whatever the zone: the verifier admits only one.
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let folder = self.clone();
        let read = tokio::task::spawn_blocking(move || folder.read());
        read.await.map_err(SourceError::new)?.map(Some).map_err(SourceError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rego_data_and_announced_version() {
        let path = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(path.path().join(name), text).unwrap();
        let folder = Folder::new(path.path());
        assert_eq!(folder.read().unwrap_err().kind(), ErrorKind::NotFound);
        write("authz.rego", "package caracal.authz");
        write("notes.txt", "not a policy");
        let first = folder.read().unwrap();
        assert!(first.is_intact());
        assert_eq!(first.modules().collect::<Vec<_>>(), [("authz.rego", "package caracal.authz")]);
        write("data.json", r#"{"allowed": ["/a"]}"#);
        let second = folder.read().unwrap();
        assert_ne!(first.version(), second.version());
        assert_eq!(second.data()["allowed"][0], "/a");
        write("version", "psv-7\n");
        assert_eq!(folder.read().unwrap().version(), "psv-7");
        for (name, text) in [("version", " \n"), ("data.json", "{")] {
            write(name, text);
            assert_eq!(folder.read().unwrap_err().kind(), ErrorKind::InvalidData, "{name}");
            write("version", "psv-7");
        }
    }
}
