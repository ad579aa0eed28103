//! Fuzzes the reader of answers.

use bytes::{Bytes, BytesMut};

use super::answers::Answers;
use super::scan::{Bounds, Scan};
use super::tokens::LONGEST_LINE;
use crate::log_error::LogError;

/// The largest number of bytes that is kept of all answers.
const ALL: usize = 2_048;

/// Reads answers in pieces and all at once, and checks that the results are equal and within the
/// bounds. Then parses the kept bytes, which may fail but must not panic.
///
/// The first byte chooses the bounds, the second the sizes of the pieces. The rest are the answers.
pub fn resp(input: &[u8]) {
    let [kind, pieces, bytes @ ..] = input else { return };
    let (depth, limit) = (usize::from(kind % 6), usize::from(kind / 6) * 4);
    let bounds = Bounds { depth, bytes: limit, all: ALL };
    let whole = read(bytes, bounds, || usize::MAX);
    let mut seed = u32::from(*pieces);
    let in_pieces = read(bytes, bounds, || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (seed >> 24) as usize % 40
    });
    assert_eq!(whole, in_pieces);
    let kept = whole.kept;
    let _ = Answers::new(&kept).entries();
    let _ = Answers::new(&kept).head(kind % 2 == 0);
    let _ = Answers::new(&kept).time();
    let _ = Answers::new(&kept).text();
    let _ = Answers::cut_in(&kept);
}

#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// The end of each complete answer, and its number of bytes.
    ends: Vec<(usize, u64)>,
    error: Option<LogError>,
    kept: Bytes,
}

fn read(mut bytes: &[u8], bounds: Bounds, mut size: impl FnMut() -> usize) -> Read {
    let mut received = BytesMut::new();
    let mut scan = Scan::from(0, bounds);
    let mut ends = Vec::new();
    loop {
        match scan.end(&mut received) {
            Ok(Some(end)) => {
                ends.push((end, scan.received(&received)));
                scan = Scan::from(end, bounds);
                continue;
            }
            Ok(None) if bytes.is_empty() => {
                return Read { ends, error: None, kept: received.freeze() };
            }
            Ok(None) => {}
            Err(error) => {
                // The number of bytes that had arrived by then depends on the pieces.
                received.truncate(ends.last().map_or(0, |(end, _)| *end));
                return Read { ends, error: Some(error), kept: received.freeze() };
            }
        }
        assert!(received.len() <= ALL + LONGEST_LINE, "{} bytes are kept", received.len());
        let (piece, rest) = bytes.split_at(size().min(bytes.len()));
        received.extend_from_slice(piece);
        bytes = rest;
    }
}
