//! The frames of a WebSocket (RFC 6455, section 5.2) in the direction to the client.

use caracal_revocation::gateway::Cut;

/// The position in the frames that were sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    state: State,
    /// `true` once the service has sent a close frame: nothing may follow it.
    is_closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Header(Vec<u8>),
    Payload(u64),
}

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// The status of a close frame: the authority behind the connection has ended. Statuses from 4000
/// on are for applications; the last three digits are those of HTTP's 401.
pub(super) const UNAUTHORIZED: u16 = 4401;

/// The status of a close frame: this program stops.
pub(super) const GOING_AWAY: u16 = 1001;

impl Frames {
    pub(super) const fn new() -> Self {
        Self { state: State::Header(Vec::new()), is_closed: false }
    }

    /// Returns `true` if another frame may follow here.
    pub(super) fn is_boundary(&self) -> bool {
        !self.is_closed && matches!(&self.state, State::Header(read) if read.is_empty())
    }

    /// Updates the position after these bytes.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        loop {
            match &mut self.state {
                State::Payload(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= now as u64;
                    bytes = bytes.get(now..).unwrap_or_default();
                    if *left == 0 {
                        self.state = State::Header(Vec::new());
                    }
                }
                State::Header(read) => {
                    let Some((byte, rest)) = bytes.split_first() else { return };
                    bytes = rest;
                    read.push(*byte);
                    if let Some((opcode, length)) = parse(read) {
                        self.is_closed |= opcode == CLOSE;
                        self.state = match length {
                            0 => State::Header(Vec::new()),
                            length => State::Payload(length),
                        };
                    }
                }
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}

/// Returns the opcode and the length of the payload, once the header is complete.
fn parse(header: &[u8]) -> Option<(u8, u64)> {
    let [first, second, rest @ ..] = header else { return None };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (extended, short) = match second & 0x7f {
        126 => (2, 0),
        127 => (8, 0),
        short => (0, u64::from(short)),
    };
    if rest.len() < extended + mask {
        return None;
    }
    let length = rest.iter().take(extended).fold(short, |sum, byte| (sum << 8) | u64::from(*byte));
    Some((first & 0x0f, length))
}

/// Returns a close frame with this status and reason.
pub(super) fn close(status: u16, reason: &str) -> Vec<u8> {
    // A control frame holds at most 125 bytes: the status and 123 of reason.
    let reason: Vec<u8> = reason.bytes().take(123).collect();
    let mut frame = vec![0x80 | CLOSE];
    frame.push(u8::try_from(reason.len() + 2).unwrap_or(2));
    frame.extend(status.to_be_bytes());
    frame.extend(reason);
    frame
}

/// Returns the close frame after a cut.
pub(super) fn revoked(cut: Cut) -> Vec<u8> {
    close(UNAUTHORIZED, cut.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(length as u8),
            126..65_536 => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![b'x'; length]);
        frame
    }

    #[test]
    fn finds_boundaries_in_pieces_of_any_size() {
        let lengths = [0, 1, 125, 126, 300, 65_535, 65_536, 0, 7];
        let bytes: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
        let mut ends = vec![0];
        for length in lengths {
            ends.push(ends[ends.len() - 1] + frame(length).len());
        }
        for size in [1, 2, 3, 7, 1_000, 4_096, bytes.len()] {
            let (mut frames, mut position) = (Frames::new(), 0);
            for piece in bytes.chunks(size) {
                frames.sent(piece);
                position += piece.len();
                assert_eq!(frames.is_boundary(), ends.contains(&position), "{size} {position}");
            }
        }
    }

    #[test]
    fn reads_masked_frame() {
        let mut frames = Frames::new();
        frames.sent(&[0x81, 0x82, 1, 2, 3]);
        assert!(!frames.is_boundary());
        frames.sent(&[4, b'h']);
        assert!(!frames.is_boundary());
        frames.sent(b"i");
        assert!(frames.is_boundary());
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        let mut frames = Frames::new();
        frames.sent(&close(1000, "bye"));
        assert_eq!(frames.state, State::Header(Vec::new()));
        assert!(!frames.is_boundary());
    }
}
