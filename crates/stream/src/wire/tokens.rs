//! The protocol of Redis (RESP2), token by token, without copying.

use memchr::memchr;

use crate::log_error::LogError;

/// One part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Text(&'a [u8]),
    Error(&'a [u8]),
    Number(i64),
    Nil,
    /// A list: the number of items that follow.
    List(u64),
    /// The number of bytes that were dropped here, because they were too many to keep.
    LeftOut(u64),
}

/// The longest line that is accepted, in bytes: longer than any error of Redis.
pub(super) const LONGEST_LINE: usize = 16 << 10;

const LONG: LogError = LogError::Reply("a length is not a number");

/// The length of the marker that replaces a dropped item.
pub(super) const MARKER: usize = 20;

/// Returns the marker for this number of dropped bytes. No server can send one, because a scan
/// rejects its first byte.
pub(super) fn mark(bytes: u64) -> [u8; MARKER] {
    let mut mark = *b"!00000000000000000\r\n";
    let digits = mark.get_mut(1..MARKER - 2).unwrap_or_default();
    let mut rest = bytes;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    mark
}

/// The content of one line, without the text that may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A text of this length follows, and a line end.
    Text(usize),
    List(u64),
    Whole(Token<'a>),
}

/// Parses the line that begins at `at`. Returns its part and the position of the next line, or
/// `None` if the line is incomplete.
pub(super) fn part(bytes: &[u8], at: usize) -> Result<Option<(Part<'_>, usize)>, LogError> {
    let Some((end, next)) = line(bytes, at)? else { return Ok(None) };
    let Some((kind, text)) = bytes.get(at..end).and_then(<[u8]>::split_first) else {
        return Err(LogError::Reply("an empty line"));
    };
    let part = match kind {
        b'$' => match length(text)? {
            Some(length) => Part::Text(usize::try_from(length).map_err(|_| LONG)?),
            None => Part::Whole(Token::Nil),
        },
        b'*' => length(text)?.map_or(Part::Whole(Token::Nil), Part::List),
        b':' => {
            let number = number(text).ok_or(LogError::Reply("a number cannot be parsed"))?;
            Part::Whole(Token::Number(number))
        }
        b'+' => Part::Whole(Token::Text(text)),
        b'-' => Part::Whole(Token::Error(text)),
        _ => return Err(LogError::Reply("the answer is not in the Redis protocol")),
    };
    Ok(Some((part, next)))
}

/// Returns the end of the line that begins at `from`, and the start of the next one.
fn line(bytes: &[u8], from: usize) -> Result<Option<(usize, usize)>, LogError> {
    let Some(rest) = bytes.get(from..) else { return Ok(None) };
    let looked = rest.get(..LONGEST_LINE).unwrap_or(rest);
    // Nearly every line of a long answer is a few digits, so the first bytes are checked without
    // `memchr`.
    let end = match looked.iter().take(12).position(|byte| *byte == b'\r') {
        Some(end) => end,
        None => match memchr(b'\r', looked) {
            Some(end) => end,
            None if looked.len() == LONGEST_LINE => {
                return Err(LogError::Reply("a line is too long"));
            }
            None => return Ok(None),
        },
    };
    Ok((rest.len() > end + 1).then_some((from + end, from + end + 2)))
}

/// Parses the token that begins at `at`. Returns it and the position of the next one, or `None` if
/// it is incomplete.
pub(super) fn token(bytes: &[u8], at: usize) -> Result<Option<(Token<'_>, usize)>, LogError> {
    if let Some(digits) = bytes.get(at..at + MARKER).filter(|mark| mark.starts_with(b"!")) {
        let left_out = digits.get(1..MARKER - 2).and_then(number).ok_or(LONG)?;
        return Ok(Some((Token::LeftOut(left_out.unsigned_abs()), at + MARKER)));
    }
    let Some((part, next)) = part(bytes, at)? else { return Ok(None) };
    let length = match part {
        Part::Text(length) => length,
        Part::List(items) => return Ok(Some((Token::List(items), next))),
        Part::Whole(token) => return Ok(Some((token, next))),
    };
    let end = next.checked_add(length).ok_or(LONG)?;
    let Some(after) = bytes.get(end..end.saturating_add(2)) else { return Ok(None) };
    if after != b"\r\n" {
        return Err(LogError::Reply("a text does not have the announced length"));
    }
    Ok(Some((Token::Text(bytes.get(next..end).unwrap_or_default()), end + 2)))
}

/// Parses the length of a text or list. Returns `None` for nil.
fn length(text: &[u8]) -> Result<Option<u64>, LogError> {
    match number(text) {
        Some(-1) => Ok(None),
        Some(length) => u64::try_from(length).map(Some).map_err(|_| LONG),
        None => Err(LONG),
    }
}

fn number(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(if is_negative { -number } else { number })
}

/// Reads the tokens of one complete answer, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Returns the position of the next token.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, LogError> {
        let Some((token, next)) = token(self.bytes, self.at)? else {
            return Err(LogError::Reply("the answer is incomplete"));
        };
        self.at = next;
        Ok(token)
    }

    /// Returns the next token, or an error answer as an error.
    pub(super) fn checked(&mut self) -> Result<Token<'a>, LogError> {
        match self.next()? {
            Token::Error(message) => Err(LogError::Redis(String::from_utf8_lossy(message).into())),
            token => Ok(token),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], LogError> {
        match self.checked()? {
            Token::Text(text) => Ok(text),
            _ => Err(LogError::Reply("text was expected")),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, LogError> {
        let number = match self.checked()? {
            Token::Number(number) => Some(number),
            Token::Text(text) => number(text),
            _ => None,
        };
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.ok_or(LogError::Reply("a number was expected"))
    }

    pub(super) fn list(&mut self) -> Result<u64, LogError> {
        match self.checked()? {
            Token::List(items) => Ok(items),
            _ => Err(LogError::Reply("a list was expected")),
        }
    }

    /// Skips the next item.
    pub(super) fn skip(&mut self) -> Result<(), LogError> {
        let mut items = 1_u64;
        while items > 0 {
            let within = if let Token::List(items) = self.next()? { items } else { 0 };
            items = (items - 1).saturating_add(within);
        }
        Ok(())
    }
}
