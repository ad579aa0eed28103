//! Reads the append-only file of a server that is down: the entries that were on disk.

use std::path::Path;

use crate::failure::Failure;
use crate::message::parse_id;

/// An entry: its stream and its id.
pub type EntryId = (String, (u64, u64));

/// Returns the entries in the newest parts of the file, in the order in which they were added.
///
/// Entries that were in the base of the file when the server started are not among them.
pub fn entries(folder: &Path) -> Result<Vec<EntryId>, Failure> {
    let mut found = Vec::new();
    for part in parts(folder)? {
        let bytes = std::fs::read(part)?;
        let mut rest = &bytes[..];
        while let Some((command, after)) = command(rest) {
            found.extend(entry(&command));
            rest = after;
        }
    }
    Ok(found)
}

/// Returns the parts of the file that the server appends to, in order.
pub fn parts(folder: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut parts: Vec<_> = entries.collect::<Result<_, _>>()?;
    parts.retain(|path| path.to_string_lossy().ends_with(".incr.aof"));
    parts.sort();
    Ok(parts)
}

/// Returns the entry that an `XADD` adds. The server writes the id that it has chosen.
fn entry(command: &[&[u8]]) -> Option<EntryId> {
    let (name, arguments) = command.split_first()?;
    let (stream, arguments) = arguments.split_first()?;
    if !name.eq_ignore_ascii_case(b"XADD") {
        return None;
    }
    let mut arguments = arguments.iter().filter_map(|text| std::str::from_utf8(text).ok());
    Some((String::from_utf8_lossy(stream).into_owned(), arguments.find_map(parse_id)?))
}

/// Splits off the first command. Returns `None` at the end, and for a command that is not complete.
fn command(bytes: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let (count, mut rest) = number(bytes, b'*')?;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let (length, after) = number(rest, b'$')?;
        let (argument, after) = after.split_at_checked(length)?;
        arguments.push(argument);
        rest = after.strip_prefix(b"\r\n")?;
    }
    Some((arguments, rest))
}

fn number(bytes: &[u8], mark: u8) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(&[mark])?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?, &rest[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_complete_entries_only() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            std::fs::write(folder.path().join("appendonly.aof.1.incr.aof"), text).unwrap();
            entries(folder.path()).unwrap()
        };
        let whole = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n\
            *8\r\n$4\r\nXADD\r\n$1\r\ns\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$3\r\n100\r\n$3\r\n7-1\r\n$1\r\na\r\n$3\r\n9-9\r\n";
        assert_eq!(write(whole), [("s".to_owned(), (7, 1))]);
        assert_eq!(write(&whole[..whole.len() - 1]), []);
    }
}
