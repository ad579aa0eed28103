//! The position in a stream of server-sent events. Only between two events may another be written.

/// The end of the bytes that were passed on. A line ends with LF, CR, or CR LF; an event with an
/// empty line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// An empty line, or nothing yet.
    #[default]
    Boundary,
    /// An empty line that ends with CR. A LF would still belong to it.
    BoundaryCr,
    /// The end of a line that is not empty.
    Line,
    /// The end of such a line, with CR.
    LineCr,
    /// Something else.
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
    fn is_at_a_boundary_before_anything_and_after_an_empty_line() {
        for text in ["", "\n", "data: 1\n\n", "data: 1\r\r", "data: 1\r\n\r\n", ":\n\n", "a\n\r"] {
            assert!(is_boundary(&[text]), "{text:?}");
        }
    }

    #[test]
    fn is_at_none_anywhere_else() {
        for text in ["data: 1", "data: 1\n", "data: 1\r\n", "data: 1\r", "a\n\nb", "a\n\nb\n"] {
            assert!(!is_boundary(&[text]), "{text:?}");
        }
    }

    #[test]
    fn chunks_may_fall_anywhere() {
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
