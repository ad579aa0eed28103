//! A proof after another server took over: it may lack entries of the first one.

use super::*;

/// Returns the head of a stream whose newest deleted entry has the id `max_deleted`.
fn head_with_deleted(first: u64, last: u64, added: u64, max_deleted: u64) -> Head {
    let Head::Present(counters) = head(first, last, added) else { panic!("it is present") };
    Head::Present(Counters { max_deleted: id(max_deleted), ..counters })
}

#[test]
fn equal_counts_after_takeover_hide_no_removal() {
    // The next server lacks entry 13. It got entries 14 and 15, and one of them was removed before
    // it was read. One entry was lost and one removed, so the counts agree.
    for removed in [head_with_deleted(11, 15, 4, 14), head_with_deleted(15, 15, 4, 0)] {
        let mut proof = tailing();
        proof.reread();
        assert_eq!(proof.head(removed, at(7), SERVER_TIME), Ok(None));
        let Head::Present(counters) = removed else { panic!("it is present") };
        if counters.first == id(11) {
            assert_eq!(proof.entry(id(11)), Ok(None));
            assert_eq!(proof.entry(id(12)), Ok(None));
        }
        assert_eq!(proof.entry(id(15)), Err(GapCause::Count), "{removed:?}");
    }
    // Nothing newer was removed, and the takeover ends with the first check that passes.
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head_with_deleted(13, 14, 4, 12), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(13)), Ok(None));
    assert_eq!(proof.entry(id(14)), proven(7));
    assert_eq!(proof.head(head_with_deleted(13, 14, 4, 14), at(8), SERVER_TIME), proven(8));
}

#[test]
fn takeover_of_a_stream_without_entries_is_no_gap() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(0, 0, 0), at(1), SERVER_TIME), proven_young(1));
    proof.reread();
    assert_eq!(proof.head(head(11, 11, 1), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), proven(7));
}

#[test]
fn counters_of_previous_server_prove_nothing_after_takeover() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 15, 5), at(5), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    proof.reread();
    assert_eq!(proof.head(head(11, 16, 5), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12, 13, 14] {
        assert_eq!(proof.entry(id(again)), Ok(None));
    }
    assert_eq!(proof.entry(id(16)), proven(7));
}

#[test]
fn unfinished_replay_must_find_its_entries_on_the_next_server() {
    // The first server had entries 11 to 15, and 11 to 13 were read.
    let unfinished = || {
        let mut proof = Proof::since(id(10));
        assert_eq!(proof.head(head(11, 15, 5), at(1), SERVER_TIME), Ok(None));
        for first in [11, 12, 13] {
            assert_eq!(proof.entry(id(first)), Ok(None));
        }
        proof.reread();
        proof
    };
    let mut complete = unfinished();
    assert_eq!(complete.head(head(11, 16, 4), at(2), SERVER_TIME), Ok(None));
    for again in [11, 12, 13] {
        assert_eq!(complete.entry(id(again)), Ok(None));
    }
    assert_eq!(complete.entry(id(16)), proven_young(2), "14 and 15 were never read");

    // The next server lacks entry 13 too.
    let mut lossy = unfinished();
    assert_eq!(lossy.head(head(11, 16, 3), at(2), SERVER_TIME), Ok(None));
    assert_eq!(lossy.entry(id(11)), Ok(None));
    assert_eq!(lossy.entry(id(12)), Ok(None));
    assert_eq!(lossy.entry(id(16)), Err(GapCause::Count));

    // A second takeover compares with everything that was read.
    let mut twice = unfinished();
    assert_eq!(twice.head(head(11, 17, 5), at(2), SERVER_TIME), Ok(None));
    for again in [11, 12, 13, 16] {
        assert_eq!(twice.entry(id(again)), Ok(None));
    }
    twice.reread();
    assert_eq!(twice.head(head(11, 17, 4), at(3), SERVER_TIME), Ok(None));
    for again in [11, 12, 13] {
        assert_eq!(twice.entry(id(again)), Ok(None));
    }
    assert_eq!(twice.entry(id(17)), Err(GapCause::Count));
}
