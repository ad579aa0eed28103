//! Names of streams, ids of entries, and the two times of a message.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::Duration;

use caracal_revocation_event::{DecidedAt, OccurredAt, ParseStreamIdError, Stream, StreamId};

#[test]
fn each_stream_has_its_name_and_index() {
    for (index, stream) in Stream::ALL.into_iter().enumerate() {
        assert_eq!(stream.index(), index);
        assert_eq!(Stream::from_name(stream.name()), Some(stream));
        assert_eq!(stream.to_string(), stream.name());
    }
    assert_eq!(Stream::from_name("caracal.sessions"), None);
}

#[test]
fn id_of_an_entry_is_two_decimal_numbers() {
    for (text, id) in [
        ("0-0", Ok(StreamId::ZERO)),
        ("1763805600123-7", Ok(StreamId::new(1_763_805_600_123, 7))),
        ("18446744073709551615-1", Ok(StreamId::new(u64::MAX, 1))),
        ("18446744073709551616-1", Err(ParseStreamIdError)),
        ("", Err(ParseStreamIdError)),
        ("-", Err(ParseStreamIdError)),
        ("7", Err(ParseStreamIdError)),
        ("7-", Err(ParseStreamIdError)),
        ("-7", Err(ParseStreamIdError)),
        ("+7-1", Err(ParseStreamIdError)),
        ("7-+1", Err(ParseStreamIdError)),
        ("7-1-1", Err(ParseStreamIdError)),
    ] {
        assert_eq!(text.parse(), id, "{text}");
        if let Ok(id) = id {
            assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn id_before_another_is_the_next_lower_one() {
    for (id, before) in [
        (StreamId::new(7, 3), StreamId::new(7, 2)),
        (StreamId::new(7, 0), StreamId::new(6, u64::MAX)),
        (StreamId::new(0, 1), StreamId::ZERO),
        (StreamId::ZERO, StreamId::ZERO),
    ] {
        assert_eq!(id.before(), before, "{id}");
    }
}

#[test]
fn time_of_a_decision_is_that_of_a_version_7_id() {
    // The first 48 bits are milliseconds.
    let id = "0198b0c2-7d10-7a11-8f00-000000000001";
    let decided = DecidedAt::from_outbox_id(id).unwrap();
    assert_eq!(decided.as_millis(), 0x0198_b0c2_7d10);
    assert_eq!(decided, DecidedAt::at_millis(0x0198_b0c2_7d10));
    for other in ["", "o-1", "0198b0c2-7d10-4a11-8f00-000000000001", &id.replace('-', "")] {
        assert_eq!(DecidedAt::from_outbox_id(other), None, "{other}");
    }
}

#[test]
fn seconds_of_an_occurrence_round_down() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1970-01-01T00:00:07.999Z", 7),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1969-12-31T23:59:58.000Z", -2),
        ("2026-11-20T10:00:00.123Z", 1_795_168_800),
    ] {
        assert_eq!(OccurredAt::parse(text).unwrap().floor_seconds(), seconds, "{text}");
    }
    assert_eq!(OccurredAt::parse("yesterday"), None);
}

#[test]
fn occurrence_keeps_its_time_in_each_form() {
    let text = "2026-11-20T10:00:00.123Z";
    let occurred = OccurredAt::parse(text).unwrap();
    assert_eq!(occurred.to_string(), text);
    assert_eq!(OccurredAt::from_unix(Duration::from_millis(1_795_168_800_123)), Some(occurred));
    assert_eq!(OccurredAt::from_unix(Duration::MAX), None);
    assert_eq!(i128::from(occurred), 1_795_168_800_123_000_000);
    assert_eq!(OccurredAt::try_from(i128::from(occurred)).unwrap(), occurred);
    assert!(OccurredAt::try_from(i128::MAX).is_err());
}
