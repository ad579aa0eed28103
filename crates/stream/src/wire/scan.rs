//! Finds where answers end, however the bytes of them arrive.

use memchr::memchr;

use super::tokens::{Token, token};
use crate::log::LogError;

/// How far the answer that is being received was looked through.
///
/// No byte is looked at twice: nested arrays need no stack, since all that matters is how many
/// parts are still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    at: usize,
    parts: u64,
}

impl Scan {
    /// Of an answer that begins at `start`.
    pub(super) const fn from(start: usize) -> Self {
        Self { at: start, parts: 1 }
    }

    /// Where the answer ends, once all of it is in `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, LogError> {
        while self.parts > 0 {
            let Some((token, next)) = token(bytes, self.at)? else { return Ok(None) };
            self.at = next;
            let within = if let Token::List(parts) = token { parts } else { 0 };
            self.parts = (self.parts - 1)
                .checked_add(within)
                .ok_or(LogError::Reply("an array without end"))?;
        }
        Ok(Some(self.at))
    }
}

/// Where the line that begins at `from` ends, and where the next one begins.
pub(super) fn line(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(from..)?;
    // Every line of a long answer but errors is a few digits.
    let end = match rest.iter().take(12).position(|byte| *byte == b'\r') {
        Some(end) => end,
        None => memchr(b'\r', rest)?,
    };
    (rest.len() > end + 1).then_some((from + end, from + end + 2))
}
