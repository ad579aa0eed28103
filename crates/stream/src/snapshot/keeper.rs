//! The snapshot file. It is restored at the start, and replaced atomically, so that a crash leaves
//! the old file or the new one.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing};
use caracal_revocation_state::RevocationsWriter;

use super::format::{self, Snapshot, SnapshotError};
use super::position::{Boot, RestoredSnapshot};

/// The setting that names the file.
pub(crate) const SETTING: &str = "CARACAL_REVOCATION_SNAPSHOT";

/// The largest file that is read. No state is larger.
const MAX_BYTES: u64 = 1 << 30;

/// The path of the snapshot, and the keys that may have sealed it.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    keys: KeyRing,
}

impl Keeper {
    pub(crate) const fn new(path: PathBuf, keys: KeyRing) -> Self {
        Self { path, keys }
    }

    /// Restores the state from the file, if there is one.
    pub(crate) fn restore(
        &self,
        writer: &RevocationsWriter,
    ) -> Result<Option<RestoredSnapshot>, SnapshotError> {
        let Some(bytes) = read(&self.path, MAX_BYTES)? else { return Ok(None) };
        let snapshot = format::open(&bytes, &self.keys)?;
        // The state takes as much memory again.
        drop(bytes);
        let now = writer.now();
        let age = now.wall.saturating_sub(Duration::from_millis(snapshot.as_of_ms));
        if age > writer.options().memory {
            return Err(SnapshotError::Outdated(age.as_secs()));
        }
        writer.restore(&snapshot.state)?;
        let as_of = snapshot.elapsed(now, Boot::now().as_ref()).and_then(|elapsed| {
            // A monotonic clock that began after the snapshot would make it look too young.
            (now.monotonic > elapsed).then(|| now.earlier_by(elapsed))
        });
        let key_is_proven = snapshot.key_is_proven;
        Ok(snapshot.tracks().map(|tracks| RestoredSnapshot { tracks, as_of, key_is_proven }))
    }

    /// Writes the snapshot. The old file stays until the new one is complete.
    pub(crate) fn keep(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let key: &Key = self.keys.signing_key().ok_or(SnapshotError::NoKey)?;
        replace(&self.path, &format::seal(snapshot, key))?;
        Ok(())
    }
}

/// Reads the file; `None` if there is none.
fn read(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(Some(bytes))
}

/// Replaces the file. When it returns, the bytes are on disk under this name.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = OsString::from(path);
    temporary.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Readable by the owner only, because the snapshot contains the keys of its digests.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_of_at_most_the_given_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        assert_eq!(read(&path, 4).unwrap(), None);
        std::fs::write(&path, b"1234").unwrap();
        assert_eq!(read(&path, 4).unwrap().unwrap(), b"1234");
        assert_eq!(read(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let below = read(&path.join("below"), 4).unwrap_err();
        assert_ne!(below.kind(), io::ErrorKind::NotFound, "the folder is a file");
        assert_ne!(read(folder.path(), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn file_without_a_folder_is_in_the_current_one() {
        for (path, folder) in [("/a/b", "/a"), ("a/b", "a"), ("/b", "/"), ("b", ".")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}
