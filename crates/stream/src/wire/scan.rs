//! Finds the end of an answer whose bytes arrive in pieces, and drops items that are too large.

use bytes::BytesMut;
use smallvec::SmallVec;

use super::tokens::{MARKER, Part, mark, part};
use crate::log_error::LogError;

/// The deepest accepted nesting. Redis nests its answers at most half as deep.
const DEEPEST: usize = 16;

/// The parts of an answer that are kept.
///
/// An item is a part at `depth` nested lists, the outermost list included. A marker replaces an
/// item with more than `bytes` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) depth: usize,
    pub(super) bytes: usize,
    /// The largest number of bytes that is kept of all answers to one write.
    pub(super) all: usize,
}

/// The position in the answer that is being received.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    bounds: Bounds,
    start: usize,
    /// The position of the next part.
    at: usize,
    /// The number of parts of each open list that have not arrived yet.
    open: SmallVec<[u64; 8]>,
    item: Option<Item>,
    /// The number of bytes of a dropped text that have not arrived yet.
    skip: usize,
    /// The number of bytes that were dropped, and of the markers in their place.
    left_out: u64,
    markers: u64,
    is_done: bool,
}

/// The item that is being received.
#[derive(Clone, Copy, Debug)]
struct Item {
    start: usize,
    /// The number of its bytes that were dropped, once it is known to be too large.
    left_out: Option<u64>,
}

impl Scan {
    /// Creates a scan of an answer that begins at `start`.
    pub(super) fn from(start: usize, bounds: Bounds) -> Self {
        Self {
            bounds,
            start,
            at: start,
            open: SmallVec::new(),
            item: None,
            skip: 0,
            left_out: 0,
            markers: 0,
            is_done: false,
        }
    }

    /// Returns the number of bytes of the answer that were received, kept or not.
    pub(super) fn received(&self, bytes: &[u8]) -> u64 {
        let kept = if self.is_done { self.at } else { bytes.len() };
        (self.left_out + kept.saturating_sub(self.start) as u64).saturating_sub(self.markers)
    }

    /// Returns the end of the answer, once all of it was received.
    pub(super) fn end(&mut self, bytes: &mut BytesMut) -> Result<Option<usize>, LogError> {
        let is_done = self.advance(bytes);
        self.drop_left_out(bytes);
        Ok(is_done?.then_some(self.at))
    }

    fn advance(&mut self, bytes: &mut BytesMut) -> Result<bool, LogError> {
        if self.skip > 0 && !self.moved(self.at.saturating_add(self.skip), bytes) {
            return Ok(false);
        }
        while !self.is_done {
            if self.item.is_none() && self.open.len() == self.bounds.depth {
                self.item = Some(Item { start: self.at, left_out: None });
            }
            let Some((part, next)) = part(bytes, self.at)? else { return Ok(false) };
            // The length of a text and its line end.
            let text = if let Part::Text(length) = part { length.saturating_add(2) } else { 0 };
            let end = next.saturating_add(text);
            if !self.leaves_out(end) && end > bytes.len() {
                return if end > self.bounds.all { Err(self.too_large()) } else { Ok(false) };
            }
            if let Some(parts) = self.open.last_mut() {
                *parts -= 1;
            }
            if let Part::List(parts @ 1..) = part {
                if self.open.len() == DEEPEST {
                    return Err(LogError::Reply("the answer is nested too deeply"));
                }
                self.open.push(parts);
            }
            if !self.moved(end, bytes) {
                return Ok(false);
            }
            let is_kept = self.item.is_none_or(|item| item.left_out.is_none());
            if is_kept && self.at > self.bounds.all {
                return Err(self.too_large());
            }
        }
        // The last bytes may have been those of a dropped text, so the bound is checked here too.
        if self.at > self.bounds.all { Err(self.too_large()) } else { Ok(true) }
    }

    fn too_large(&self) -> LogError {
        LogError::TooLarge(self.bounds.all)
    }

    /// Returns `true` if the current item, whose next part ends at `end`, is too large and so is
    /// dropped.
    fn leaves_out(&mut self, end: usize) -> bool {
        let Some(item) = &mut self.item else { return false };
        if item.left_out.is_none() && end - item.start > self.bounds.bytes {
            item.left_out = Some(0);
        }
        item.left_out.is_some()
    }

    /// Moves to the end of a part. Returns `true` if the whole part has arrived.
    fn moved(&mut self, end: usize, bytes: &mut BytesMut) -> bool {
        self.at = end.min(bytes.len());
        self.skip = end - self.at;
        if self.skip > 0 {
            return false;
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        self.is_done = self.open.is_empty();
        if self.open.len() <= self.bounds.depth {
            self.drop_left_out(bytes);
            self.item = None;
        }
        true
    }

    /// Replaces the dropped bytes by a marker with their number.
    fn drop_left_out(&mut self, bytes: &mut BytesMut) {
        let Some(Item { start, left_out: Some(left_out) }) = &mut self.item else { return };
        let marked = *start + if *left_out > 0 { MARKER } else { 0 };
        let dropped = self.at.saturating_sub(marked) as u64;
        *left_out += dropped;
        self.left_out += dropped;
        if marked == *start {
            self.markers += MARKER as u64;
        }
        replace(bytes, *start, self.at, &mark(*left_out));
        self.at = *start + MARKER;
    }
}

/// Replaces the bytes from `start` to `end` by `with`.
fn replace(bytes: &mut BytesMut, start: usize, end: usize, with: &[u8]) {
    let rest = bytes.len() - end;
    let after = start + with.len();
    bytes.resize(bytes.len().max(after + rest), 0);
    bytes.copy_within(end..end + rest, after);
    if let Some(place) = bytes.get_mut(start..after) {
        place.copy_from_slice(with);
    }
    bytes.truncate(after + rest);
}
