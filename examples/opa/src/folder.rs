//! A policy source on disk: a folder for each zone, with `*.rego` and `data.json`.

use std::path::{Path, PathBuf};

use caracal_revocation::policy::{PolicyBundle, PolicyRequest, PolicySource, SourceError};

/// Reads `<folder>/<zone>/*.rego` and `<folder>/<zone>/data.json`. The version is the digest of
/// their content. This source computes the digest itself, because it trusts the disk.
#[derive(Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Reads the zone's bundle. Returns `None` if the zone has no folder.
    pub fn read(&self, zone: &str) -> std::io::Result<Option<PolicyBundle>> {
        // The zone's name comes from a token: it must not point outside the folder.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let path = self.0.join(zone);
        if zone.is_empty() || !zone.chars().all(is_plain) || !path.is_dir() {
            return Ok(None);
        }
        let mut modules = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "rego") {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                modules.push((name, std::fs::read_to_string(&file)?));
            }
        }
        let data = data(&path.join("data.json"))?;
        let with_modules = |bundle: PolicyBundle| {
            modules.iter().fold(bundle, |bundle, (name, source)| bundle.with_module(name, source))
        };
        let unversioned = with_modules(PolicyBundle::new("")).with_data(data.clone());
        let digest = unversioned.compute_digest();
        let version = digest.chars().take(12).collect::<String>();
        Ok(Some(with_modules(PolicyBundle::new(version)).with_data(data).with_digest(digest)))
    }
}

fn data(file: &Path) -> std::io::Result<serde_json::Value> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(serde_json::json!({})),
        Err(error) => Err(error),
    }
}

impl PolicySource for Folder {
    async fn load(&self, request: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let (folder, zone) = (self.clone(), request.zone().to_owned());
        let read = tokio::task::spawn_blocking(move || folder.read(&zone));
        read.await.map_err(SourceError::new)?.map_err(SourceError::new)
    }
}
