//! Compares the reader with the redis crate's parser, with answers cut at every byte and invalid
//! answers.

use bytes::{Bytes, BytesMut};
use caracal_revocation_event::{Stream, StreamId};

use redis::parse_redis_value;

use super::Answers;
use super::reader::{self, COUNTERS, EVERYTHING};
use super::scan::{Bounds, Scan};
use super::tokens::{Token, Tokens, token};
use crate::entry::{Counters, Entry, Head};
use crate::log_error::LogError;
use crate::redis_reply as reply;

const TIME: &[u8] = b"*2\r\n$10\r\n1764100000\r\n$6\r\n123456\r\n";
const HEAD: &[u8] = b"*14\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$5\r\n200-1\r\n\
    $20\r\nmax-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:7\r\n\
    $23\r\nrecorded-first-entry-id\r\n$5\r\n100-0\r\n$6\r\ngroups\r\n:0\r\n\
    $11\r\nfirst-entry\r\n*2\r\n$5\r\n100-0\r\n*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n";
const ENTRIES: &[u8] = b"*2\r\n*2\r\n$23\r\ncaracal.sessions.revoke\r\n*2\r\n\
    *2\r\n$5\r\n100-0\r\n*4\r\n$7\r\nzone_id\r\n$2\r\nz1\r\n$4\r\nnote\r\n$3\r\n\xff\r\n\r\n\
    *2\r\n$5\r\n100-1\r\n*-1\r\n\
    *2\r\n$23\r\ncaracal.keys.invalidate\r\n*1\r\n*2\r\n$5\r\n200-0\r\n*2\r\n$0\r\n\r\n$0\r\n\r\n";

fn values(bytes: &[u8]) -> redis::Value {
    parse_redis_value(bytes).unwrap()
}

#[test]
fn finds_end_of_answer_cut_at_any_byte() {
    for answer in
        [TIME, HEAD, ENTRIES, b"*-1\r\n", b"$-1\r\n", b"+OK\r\n", b"-ERR no\r\n", b"*0\r\n"]
    {
        let mut bytes = answer.to_vec();
        bytes.extend_from_slice(b"*1\r\n");
        for cut in 0..answer.len() {
            let mut scan = Scan::from(0, EVERYTHING);
            let mut received = BytesMut::from(&bytes[..cut]);
            assert_eq!(scan.end(&mut received), Ok(None), "{cut} bytes of {answer:?}");
            received.extend_from_slice(&bytes[cut..]);
            assert_eq!(scan.end(&mut received), Ok(Some(answer.len())));
            assert_eq!(scan.received(&received), answer.len() as u64);
        }
    }
}

#[test]
fn parses_answers_as_redis_crate_does() {
    let bytes = Bytes::from([TIME, HEAD, ENTRIES].concat());
    let mut answers = Answers::new(&bytes);
    assert_eq!(answers.time().unwrap(), reply::time(&values(TIME)).unwrap());
    let head = answers.head(true).unwrap();
    assert_eq!(head, reply::head(Some(values(HEAD)), true).unwrap());
    let entries = answers.entries().unwrap();
    assert_eq!(entries, reply::entries(values(ENTRIES)).unwrap());
    // Both could be wrong in the same way, so the values are checked too.
    let counters = Counters {
        last_generated: StreamId::new(200, 1),
        entries_added: 7,
        first: StreamId::new(100, 0),
        max_deleted: StreamId::ZERO,
    };
    assert_eq!(head, Head::Present(counters));
    let fields: [(&[u8], &[u8]); 2] = [(b"zone_id", b"z1"), (b"note", b"\xff\r\n")];
    let expected = [
        (Stream::SessionsRevoke, StreamId::new(100, 0), fields.as_slice()),
        (Stream::SessionsRevoke, StreamId::new(100, 1), &[]),
        (Stream::KeysInvalidate, StreamId::new(200, 0), &[(b"", b"")]),
    ];
    let expected = expected.map(|(stream, id, fields)| Entry {
        stream,
        id,
        fields: fields.iter().copied().collect(),
    });
    assert_eq!(entries, expected);
}

#[test]
fn missing_stream_is_no_error_but_others_are() {
    let missing = Bytes::from_static(b"-ERR no such key\r\n");
    assert_eq!(Answers::new(&missing).head(true), Ok(Head::Missing));
    for (error, message) in [
        (&b"-WRONGTYPE of a key\r\n"[..], "WRONGTYPE of a key"),
        (b"-NOPERM this user has no permissions\r\n", "NOPERM this user has no permissions"),
    ] {
        let bytes = Bytes::from_static(error);
        let expected = LogError::Redis(message.into());
        assert_eq!(Answers::new(&bytes).head(true), Err(expected.clone()));
        assert_eq!(Answers::new(&bytes).entries(), Err(expected.clone()));
        assert_eq!(Answers::new(&bytes).time(), Err(expected));
    }
}

#[test]
fn missing_xinfo_field_is_an_error() {
    for field in
        ["last-generated-id", "max-deleted-entry-id", "entries-added", "recorded-first-entry-id"]
    {
        let text =
            String::from_utf8(HEAD.to_vec()).unwrap().replace(field, &"x".repeat(field.len()));
        let bytes = Bytes::from(text);
        assert!(matches!(Answers::new(&bytes).head(true), Err(LogError::Reply(_))), "{field}");
    }
}

#[test]
fn invalid_bytes_neither_hang_nor_take_memory() {
    let whole = [TIME, HEAD, ENTRIES].concat();
    for at in 0..whole.len() {
        for byte in [b'9', b'*', b'$', b'-', b':', b'\r', b'\n', 0, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = Scan::from(0, reader::ENTRIES).end(&mut BytesMut::from(&bytes[..]));
            let bytes = Bytes::from(bytes);
            let mut answers = Answers::new(&bytes);
            let _ = answers.time().and_then(|_| answers.head(true)).and_then(|_| answers.entries());
        }
    }
    for bytes in [
        &b"*9223372036854775807\r\n*9223372036854775807\r\n*9223372036854775807\r\n"[..],
        b"$9223372036854775807\r\n",
        b"$999999999999999999\r\n",
        b"*999999999999999999\r\n*999999999999999999\r\n",
        b"$-2\r\n",
        b"*-5\r\n",
        b":\r\n",
        b"\r\n",
        b"%1\r\n",
    ] {
        let _ = Scan::from(0, reader::ENTRIES).end(&mut BytesMut::from(bytes));
        let bytes = Bytes::from_static(bytes);
        assert!(Answers::new(&bytes).entries().is_err(), "{bytes:?}");
    }
}

#[test]
fn rejects_text_longer_than_announced() {
    assert!(token(b"$1\r\nab\r\n", 0).is_err());
    assert_eq!(token(b"$1\r\na\r\n", 0), Ok(Some((Token::Text(b"a"), 7))));
    let mut tokens = Tokens::new(b"*2\r\n*1\r\n:1\r\n+x\r\n:2\r\n", 0);
    assert_eq!(tokens.skip(), Ok(()));
    assert_eq!(tokens.next(), Ok(Token::Number(2)));
}

const SMALL: Bounds = Bounds { depth: 4, bytes: 64, all: 1_000 };

/// Returns the kept bytes of an answer that arrives in pieces of this size, and its number of
/// bytes.
fn kept(answer: &[u8], bounds: Bounds, piece: usize) -> (Bytes, u64) {
    let mut scan = Scan::from(0, bounds);
    let mut received = BytesMut::new();
    let mut end = None;
    for piece in answer.chunks(piece) {
        assert_eq!(end, None);
        received.extend_from_slice(piece);
        end = scan.end(&mut received).unwrap();
        assert!(received.len() <= bounds.all, "{}", received.len());
    }
    assert_eq!(end, Some(received.len()));
    (received.clone().freeze(), scan.received(&received))
}

/// Returns an answer to `XREAD` with an entry of these fields between two others.
fn surrounded(fields: &str) -> Vec<u8> {
    let entry = |id, fields| format!("*2\r\n$3\r\n{id}-0\r\n{fields}");
    let (first, second) = (entry(1, "*2\r\n$1\r\na\r\n$1\r\nb\r\n"), entry(2, fields));
    let third = entry(3, "*2\r\n$1\r\nc\r\n$0\r\n\r\n");
    let name = "$23\r\ncaracal.sessions.revoke\r\n";
    format!("*1\r\n*2\r\n{name}*3\r\n{first}{second}{third}").into_bytes()
}

fn one_long_text() -> String {
    format!("*2\r\n$1\r\na\r\n$5000\r\n{}\r\n", "x".repeat(5_000))
}

fn many_short_texts() -> String {
    format!("*1000\r\n{}", "$1\r\na\r\n".repeat(1_000))
}

fn many_lists() -> String {
    format!("*500\r\n{}", "*1\r\n:1\r\n".repeat(500))
}

#[test]
fn drops_too_large_message_and_keeps_its_neighbours() {
    for fields in [one_long_text(), many_short_texts(), many_lists()] {
        let answer = surrounded(&fields);
        for piece in [1, 2, 3, 7, 64, 100, 1_000, answer.len()] {
            let (kept, size) = kept(&answer, SMALL, piece);
            assert_eq!(size, answer.len() as u64);
            let entries = Answers::new(&kept).entries().unwrap();
            let ids: Vec<u64> = entries.iter().map(|entry| entry.id.ms).collect();
            assert_eq!(ids, [1, 2, 3], "{piece}");
            let sizes: Vec<_> = entries.iter().map(|entry| entry.fields.too_large()).collect();
            assert_eq!(sizes, [None, Some(fields.len() as u64), None]);
            assert_eq!(entries[2].fields, [("c", "")].into_iter().collect());
        }
    }
}

#[test]
fn keeps_counters_next_to_too_large_entries() {
    let entry = format!("*2\r\n$5\r\n100-0\r\n{}", one_long_text());
    let small = "*2\r\n$5\r\n100-0\r\n*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n";
    let answer = String::from_utf8(HEAD.to_vec()).unwrap().replace(small, &entry);
    for piece in [1, 10, answer.len()] {
        let (kept, size) = kept(answer.as_bytes(), COUNTERS, piece);
        assert_eq!(size, answer.len() as u64);
        assert!(kept.len() < 400);
        assert_eq!(Answers::new(&kept).head(true), reply::head(Some(values(HEAD)), true));
    }
}

#[test]
fn rejects_answers_that_are_too_large_as_a_whole() {
    let entry = "*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n".repeat(100);
    let answer = format!("*1\r\n*2\r\n$23\r\ncaracal.sessions.revoke\r\n*100\r\n{entry}");
    for answer in [answer.as_str(), "$2000\r\n", "*1\r\n*2\r\n$99999999999999999\r\n"] {
        let mut received = BytesMut::from(answer.as_bytes());
        let ended = Scan::from(0, SMALL).end(&mut received);
        assert_eq!(ended, Err(LogError::TooLarge(1_000)), "{answer}");
    }
}

#[test]
fn markers_count_towards_bound_in_any_pieces() {
    // The text is dropped, and its marker is longer than the bound on all answers.
    let (answer, bounds) =
        (b"$30\r\n012345678901234567890123456789\r\n", Bounds { depth: 0, bytes: 4, all: 10 });
    for piece in 1..=answer.len() {
        let mut scan = Scan::from(0, bounds);
        let mut received = BytesMut::new();
        let rejected = answer.chunks(piece).any(|piece| {
            received.extend_from_slice(piece);
            scan.end(&mut received).is_err()
        });
        assert!(rejected, "in pieces of {piece}");
    }
}

#[test]
fn rejects_endless_line_and_endless_nesting() {
    for answer in ["-".repeat(20_000), "*1\r\n".repeat(100)] {
        let mut received = BytesMut::from(answer.as_bytes());
        assert!(Scan::from(0, EVERYTHING).end(&mut received).is_err());
    }
}

#[test]
fn server_cannot_send_marker() {
    let marked = surrounded("!00000000000005000\r\n");
    let mut received = BytesMut::from(&marked[..]);
    assert!(matches!(Scan::from(0, reader::ENTRIES).end(&mut received), Err(LogError::Reply(_))));
}
