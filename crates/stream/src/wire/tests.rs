//! The reader against the redis crate's own parser, cut at every byte, and on what is no answer.

use bytes::Bytes;
use caracal_revocation_event::{Stream, StreamId};

use super::scan::Scan;
use super::tokens::{Token, Tokens, token};
use super::*;
use crate::log::{Counters, Entry, Head};
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
fn an_answer_ends_where_it_ends_however_it_arrives() {
    for answer in
        [TIME, HEAD, ENTRIES, b"*-1\r\n", b"$-1\r\n", b"+OK\r\n", b"-ERR no\r\n", b"*0\r\n"]
    {
        let mut bytes = answer.to_vec();
        bytes.extend_from_slice(b"*1\r\n");
        for cut in 0..answer.len() {
            let mut scan = Scan::from(0);
            assert_eq!(scan.end(&bytes[..cut]), Ok(None), "{cut} bytes of {answer:?}");
            assert_eq!(scan.end(&bytes), Ok(Some(answer.len())));
        }
    }
}

#[test]
fn it_reads_what_the_redis_crate_reads() {
    let bytes = Bytes::from([TIME, HEAD, ENTRIES].concat());
    let mut answers = Answers::new(&bytes);
    assert_eq!(answers.time().unwrap(), reply::time(&values(TIME)).unwrap());
    let head = answers.head(true).unwrap();
    assert_eq!(head, reply::head(Some(values(HEAD)), true).unwrap());
    let entries = answers.entries().unwrap();
    assert_eq!(entries, reply::entries(values(ENTRIES)).unwrap());
    // And both are not wrong alike.
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
fn a_missing_stream_is_none_and_any_other_error_is_an_error() {
    let missing = Bytes::from_static(b"-ERR no such key\r\n");
    assert_eq!(Answers::new(&missing).head(true), Ok(Head::Missing));
    for (error, words) in [
        (&b"-WRONGTYPE of a key\r\n"[..], "WRONGTYPE of a key"),
        (b"-NOPERM this user has no permissions\r\n", "NOPERM this user has no permissions"),
    ] {
        let bytes = Bytes::from_static(error);
        let refused = LogError::Redis(words.into());
        assert_eq!(Answers::new(&bytes).head(true), Err(refused.clone()));
        assert_eq!(Answers::new(&bytes).entries(), Err(refused.clone()));
        assert_eq!(Answers::new(&bytes).time(), Err(refused));
    }
}

#[test]
fn a_field_that_xinfo_lacks_is_an_error_and_no_zero() {
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
fn whatever_the_bytes_are_it_ends_and_claims_no_memory() {
    let whole = [TIME, HEAD, ENTRIES].concat();
    for at in 0..whole.len() {
        for byte in [b'9', b'*', b'$', b'-', b':', b'\r', b'\n', 0, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = Scan::from(0).end(&bytes);
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
        let _ = Scan::from(0).end(bytes);
        let bytes = Bytes::from_static(bytes);
        assert!(Answers::new(&bytes).entries().is_err(), "{bytes:?}");
    }
}

#[test]
fn a_text_longer_than_was_said_is_no_text() {
    assert!(token(b"$1\r\nab\r\n", 0).is_err());
    assert_eq!(token(b"$1\r\na\r\n", 0), Ok(Some((Token::Text(b"a"), 7))));
    let mut tokens = Tokens::new(b"*2\r\n*1\r\n:1\r\n+x\r\n:2\r\n", 0);
    assert_eq!(tokens.skip(), Ok(()));
    assert_eq!(tokens.next(), Ok(Token::Number(2)));
}
