//! A proof that resumes after a restored snapshot: everything is read again.

use super::*;

/// Returns a proof that resumed after entries 11, 12 and 13, and has read these again.
fn resumed() -> Proof {
    let proof = Proof::resumed(id(10), &tailing().checkpoint().unwrap());
    assert_eq!(proof.cursor(), StreamId::ZERO, "everything is read again");
    assert!(!proof.is_tailing());
    proof
}

#[test]
fn resumed_proof_passes_once_everything_was_reread() {
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12] {
        assert_eq!(proof.entry(id(again)), Ok(None));
        assert_eq!(proof.checkpoint(), None);
    }
    assert_eq!(proof.entry(id(13)), Ok(None));
    assert_eq!(proof.entry(id(14)), proven(7));
    assert!(proof.checkpoint().is_some());

    // Every entry that was read before was trimmed, which is no gap.
    let mut proof = resumed();
    assert_eq!(proof.head(head(14, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), proven(7));
    let mut proof = resumed();
    assert_eq!(proof.head(head(0, 13, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), proven(7));
    assert_eq!(proof.cursor(), id(13));
}

#[test]
fn resumed_proof_counts_what_was_read_since_last_check() {
    let mut proof = tailing();
    assert_eq!(proof.entry(id(14)), Ok(None), "no counters were read since");
    let mut proof = Proof::resumed(id(10), &proof.checkpoint().unwrap());
    assert_eq!(proof.head(head(14, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    assert_eq!(proof.entry(id(15)), proven(7));
}

#[test]
fn resumed_proof_reads_reused_ids_without_counting_them() {
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 15, 4), at(7), SERVER_TIME), Ok(None));
    // Entry 13 was lost, and another entry has an id below the cursor.
    for entry in [StreamId::new(11, 0), StreamId::new(12, 0), StreamId::new(12, 1)] {
        assert_eq!(proof.entry(entry), Ok(None));
    }
    assert_eq!(proof.entry(id(15)), proven(7));
}

#[test]
fn resumed_proof_detects_gap_after_its_end() {
    assert_eq!(resumed().head(head(11, 12, 3), at(7), SERVER_TIME), Err(GapCause::IdsWentBack));
    assert_eq!(resumed().head(Head::Missing, at(7), SERVER_TIME), Err(GapCause::Missing));
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 13, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), Err(GapCause::Count));
    let mut proof = resumed();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(GapCause::Count));
}
