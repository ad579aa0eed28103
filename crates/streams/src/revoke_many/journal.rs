//! The journal of an unfinished run: a file with every message that Redis has acknowledged.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use caracal_revocation_event::StreamId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::item::Item;
use crate::outcome::Failure;
use crate::text::plain;

const KIND: &str = "caracal-streams publish revoke";
/// The age up to which a journal counts, in seconds. Services forget a revocation after 24 hours,
/// so a much older acknowledgement is worth nothing.
const MAX_AGE: u64 = 12 * 60 * 60;

/// The first line of a journal: the run that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    journal: String,
    version: u32,
    /// The SHA-256 digest of the input, in hex.
    input: String,
    /// The address of Redis.
    server: String,
    /// The time of the first run, in seconds since the Unix epoch.
    began: u64,
}

/// The line after the messages of one write.
#[derive(Debug, Serialize, Deserialize)]
struct Acknowledged {
    /// The id of the last of them.
    acknowledged: StreamIdText,
}

/// An id as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StreamIdText(StreamId);

impl Serialize for StreamIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamIdText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The messages that earlier runs have published.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) items: HashSet<Item>,
    /// The id of the last of them.
    pub(super) last: Option<StreamId>,
    /// The length of the journal in bytes, without a last line that was cut off.
    length: u64,
}

/// A journal that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None` once a write failed, such as on a full disk. The end of the file may then be the part
    /// of a line, so nothing may follow it.
    file: Option<File>,
}

impl Header {
    /// Returns the header of a run. `input` is a text that is the same for the same input only.
    pub(super) fn new(input: &str, server: &str, began: u64) -> Self {
        Self {
            journal: KIND.to_owned(),
            version: 1,
            input: hex(&Sha256::digest(input.as_bytes())),
            server: server.to_owned(),
            began,
        }
    }

    /// Returns the name of the journal if the operator names none.
    pub(super) fn file_name(&self) -> PathBuf {
        let both = format!("{}\n{}", self.input, self.server);
        let digest = hex(&Sha256::digest(both.as_bytes()));
        PathBuf::from(format!("revoke-{}.journal", digest.get(..12).unwrap_or(&digest)))
    }
}

/// Reads a journal, if it exists. Fails if it belongs to another run or cannot be read.
pub(super) fn read(path: &Path, header: &Header) -> Result<Done, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Done::default()),
        Err(error) => return Err(failure(path, error)),
    };
    let wrong = |why: &str| {
        failure(path, format_args!("{why}; pass another file, or remove it to publish everything"))
    };
    let (complete, _) =
        text.rsplit_once('\n').ok_or_else(|| wrong("not a journal of this command"))?;
    let mut lines = complete.split('\n').enumerate();
    let first = lines.next().and_then(|(_, line)| serde_json::from_str::<Header>(line).ok());
    let found = first.filter(|found| found.journal == KIND && found.version == header.version);
    let found = found.ok_or_else(|| wrong("not a journal of this command"))?;
    if found.input != header.input {
        return Err(wrong("the journal of another input"));
    }
    if found.server != header.server {
        let server = plain(&found.server);
        return Err(wrong(&format!("the journal of another server, {server}")));
    }
    if found.began.saturating_add(MAX_AGE) < header.began {
        return Err(wrong("began over 12 hours ago, and services forget revocations after a day"));
    }
    let length = u64::try_from(complete.len() + 1).unwrap_or(u64::MAX);
    let mut done = Done { length, ..Done::default() };
    for (index, line) in lines {
        if let Ok(Acknowledged { acknowledged }) = serde_json::from_str(line) {
            done.last = Some(acknowledged.0);
        } else {
            let item = serde_json::from_str(line);
            let unreadable = |_| wrong(&format!("line {} cannot be read", index + 1));
            done.items.insert(item.map_err(unreadable)?);
        }
    }
    Ok(done)
}

impl Journal {
    /// Creates the journal, or continues one. Only its owner may read it. Leaves no file behind if
    /// it fails.
    pub(super) fn open(path: &Path, header: &Header, done: &Done) -> Result<Self, Failure> {
        let advice = "pass --journal FILE with a file that can be written";
        let failed = |error| failure(path, format_args!("{error}; {advice}"));
        let mut options = OpenOptions::new();
        options.append(true).create_new(done.length == 0);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        if done.length == 0 {
            let line = serde_json::to_string(header)?;
            write(&file, &[line]).map_err(|error| {
                // The error of the write is the one that helps.
                let _ = std::fs::remove_file(path);
                failed(error)
            })?;
        } else {
            // The end of a line that was cut off, if there is one.
            file.set_len(done.length).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// Records messages that Redis has acknowledged, and the id of the last one. Returns once they
    /// are on disk.
    ///
    /// After an error, which is returned once, it records nothing more.
    pub(super) fn record(&mut self, items: &[Item], last: StreamId) -> Result<(), Failure> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut lines: Vec<_> = items.iter().map(Item::line).collect();
        lines.push(serde_json::to_string(&Acknowledged { acknowledged: StreamIdText(last) })?);
        write(file, &lines).map_err(|error| {
            self.file = None;
            failure(&self.path, error)
        })
    }

    /// Removes the journal: the run is complete.
    pub(super) fn remove(self) -> Result<(), Failure> {
        remove(&self.path)
    }
}

/// Writes lines to the disk.
fn write(mut file: &File, lines: &[String]) -> std::io::Result<()> {
    let mut text = lines.join("\n");
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Removes a journal. Another run of the same command may have removed it already.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failure(path, error)),
        _ => Ok(()),
    }
}

fn failure(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("--journal {}: {why}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_400_000;

    fn item(id: &str) -> Item {
        let id = Some(id.to_owned());
        Item { zone_id: Some("z".to_owned()), session_id: id, ..Item::default() }
    }

    fn header(input: &str, server: &str, began: u64) -> Header {
        Header::new(input, server, began)
    }

    /// Returns a folder with a journal of two writes.
    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let header = header("input", "redis:1", NOW);
        assert_eq!(read(&path, &header).unwrap(), Done::default());
        let mut journal = Journal::open(&path, &header, &Done::default()).unwrap();
        journal.record(&[item("a"), item("b")], StreamId::new(7, 1)).unwrap();
        journal.record(&[item("c")], StreamId::new(8, 0)).unwrap();
        (folder, path)
    }

    fn done(path: &Path) -> Done {
        read(path, &header("input", "redis:1", NOW + 60)).unwrap()
    }

    #[test]
    fn returns_what_was_recorded_and_continues() {
        let (_folder, path) = written();
        let found = done(&path);
        assert_eq!(found.items, [item("a"), item("b"), item("c")].into());
        assert_eq!(found.last, Some(StreamId::new(8, 0)));
        let mut journal = Journal::open(&path, &header("input", "redis:1", NOW), &found).unwrap();
        journal.record(&[item("d")], StreamId::new(9, 0)).unwrap();
        assert_eq!((done(&path).items.len(), done(&path).last), (4, Some(StreamId::new(9, 0))));
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn drops_a_line_that_was_cut_off_at_any_byte() {
        let (_folder, path) = written();
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let found = done(&path);
            let lines = whole[first..cut].iter().filter(|byte| **byte == b'\n').count();
            let items = [0, 1, 2, 2, 3][lines];
            assert_eq!(found.items.len(), items, "cut at {cut}");
            let mut journal =
                Journal::open(&path, &header("input", "redis:1", NOW), &found).unwrap();
            journal.record(&[item("z")], StreamId::new(9, 0)).unwrap();
            assert_eq!(done(&path).items.len(), items + 1, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_the_journal_of_another_run() {
        let (_folder, path) = written();
        for (header, expected) in [
            (header("other", "redis:1", NOW), "the journal of another input"),
            (header("input", "redis:2", NOW), "the journal of another server, redis:1"),
            (header("input", "redis:1", NOW + MAX_AGE + 1), "over 12 hours ago"),
        ] {
            let error = read(&path, &header).unwrap_err().to_string();
            assert!(error.starts_with("--journal ") && error.contains(expected), "{error}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (text, expected) in [
            (String::new(), "not a journal"),
            ("{}\n".to_owned(), "not a journal"),
            ("notes of mine\n".to_owned(), "not a journal"),
            (text.replacen("\"version\":1", "\"version\":2", 1), "not a journal"),
            (text.replacen("{\"zone_id\"", "{\"zone\"", 1), "line 2 cannot be read"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, &header("input", "redis:1", NOW)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(path.exists());
    }

    #[test]
    fn names_the_journal_after_input_and_server() {
        let names: HashSet<_> = [("a", "r"), ("b", "r"), ("a", "s"), ("a", "r")]
            .map(|(input, server)| header(input, server, NOW).file_name())
            .into();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
