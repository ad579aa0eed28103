//! The position in a stream of server-sent events. Between two events, another can be inserted.

/// The position after the bytes that were passed on. A line ends with LF, CR, or CR LF. An event
/// ends with an empty line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// After an empty line, or at the start.
    #[default]
    Boundary,
    /// After an empty line that ends with CR. A following LF would belong to it.
    BoundaryCr,
    /// After a line that is not empty.
    Line,
    /// After a line that is not empty and ends with CR.
    LineCr,
    /// Inside a line.
    Within,
}

impl Position {
    pub(super) fn after(self, chunk: &[u8]) -> Self {
        let ends = chunk.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let (start, tail) = match ends {
            Some(last) => (Self::Within, chunk.get(last + 1..).unwrap_or_default()),
            None => (self, chunk),
        };
        tail.iter().fold(start, |position, byte| match (position, byte) {
            (Self::BoundaryCr, b'\n') => Self::Boundary,
            (Self::LineCr, b'\n') => Self::Line,
            (Self::Within, b'\r') => Self::LineCr,
            (Self::Within, _) => Self::Line,
            (_, b'\r') => Self::BoundaryCr,
            (_, _) => Self::Boundary,
        })
    }

    pub(super) const fn is_boundary(self) -> bool {
        matches!(self, Self::Boundary | Self::BoundaryCr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_boundary(chunks: &[&str]) -> bool {
        let position = Position::default();
        chunks
            .iter()
            .fold(position, |position, chunk| position.after(chunk.as_bytes()))
            .is_boundary()
    }

    #[test]
    fn is_boundary_at_start_and_after_empty_line() {
        for text in ["", "\n", "data: 1\n\n", "data: 1\r\r", "data: 1\r\n\r\n", ":\n\n", "a\n\r"] {
            assert!(is_boundary(&[text]), "{text:?}");
        }
    }

    #[test]
    fn is_no_boundary_anywhere_else() {
        for text in ["data: 1", "data: 1\n", "data: 1\r\n", "data: 1\r", "a\n\nb", "a\n\nb\n"] {
            assert!(!is_boundary(&[text]), "{text:?}");
        }
    }

    #[test]
    fn position_does_not_depend_on_chunks() {
        let texts =
            ["data: 1\r\n\r\n", "data: 1\r\n", "data: 1\n\nid: 2\n", "a\r\rb\r", "\r\n\r\na\n\n"];
        for text in texts {
            let whole = is_boundary(&[text]);
            for at in 0..=text.len() {
                for until in at..=text.len() {
                    let chunks = [&text[..at], &text[at..until], &text[until..]];
                    assert_eq!(is_boundary(&chunks), whole, "{chunks:?}");
                }
            }
        }
    }
}
