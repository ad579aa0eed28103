use super::*;

const SERVER_TIME: Duration = Duration::from_secs(1_795_400_000);

fn at(second: u64) -> Moment {
    Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// A stream that holds entries `first..=last`, of `added` ever added.
fn head(first: u64, last: u64, added: u64) -> Head {
    Head::Present(Counters {
        last_generated: id(last),
        entries_added: added,
        first: id(first),
        max_deleted: StreamId::ZERO,
    })
}

fn passed(as_of: u64) -> Result<Option<Passed>, Hole> {
    Ok(Some(Passed { as_of: at(as_of), lost_up_to: None, unshown_up_to: None, is_young: false }))
}

/// The first pass over a stream.
fn passed_first(as_of: u64) -> Passed {
    let unshown_up_to = Some(SERVER_TIME);
    Passed { as_of: at(as_of), lost_up_to: None, unshown_up_to, is_young: false }
}

/// The first pass over a stream of which everything that was ever added was read.
fn passed_young(as_of: u64) -> Result<Option<Passed>, Hole> {
    Ok(Some(Passed { is_young: true, ..passed_first(as_of) }))
}

fn passed_without(as_of: u64, lost_up_to: Duration) -> Result<Option<Passed>, Hole> {
    Ok(Some(Passed { lost_up_to: Some(lost_up_to), ..passed_first(as_of) }))
}

/// A proof that has read entries 11, 12 and 13 of 3 ever added.
fn tailing() -> Proof {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(11, 13, 3), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    assert_eq!(proof.entry(id(13)), passed_young(1));
    proof
}

#[test]
fn an_empty_or_missing_stream_is_complete_at_once() {
    for nothing in [Head::Missing, head(0, 0, 0)] {
        let mut proof = Proof::since(id(10));
        assert_eq!(proof.head(nothing, at(1), SERVER_TIME), passed_young(1));
    }
}

#[test]
fn a_stream_read_from_its_first_entry_is_complete() {
    assert!(tailing().is_tailing());
}

#[test]
fn nothing_new_is_a_proof_as_of_the_time_it_was_asked() {
    assert_eq!(tailing().head(head(11, 13, 3), at(7), SERVER_TIME), passed(7));
}

#[test]
fn trimming_behind_the_cursor_is_no_hole() {
    assert_eq!(tailing().head(head(13, 13, 3), at(7), SERVER_TIME), passed(7));
    let mut proof = tailing();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    assert_eq!(proof.entry(id(15)), passed(7));
}

#[test]
fn entries_added_after_the_counters_were_taken_count_for_the_next_check() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), passed(7));
    assert_eq!(proof.entry(id(15)), Ok(None));
    assert_eq!(proof.head(head(11, 15, 5), at(8), SERVER_TIME), passed(8));
}

#[test]
fn a_check_stays_pending_over_several_reads() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    assert_eq!(proof.head(head(11, 99, 9), at(8), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), passed(7));
}

#[test]
fn a_trimmed_entry_in_front_of_the_cursor_is_a_hole() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(Hole::Count));
}

#[test]
fn a_deleted_last_entry_is_a_hole_at_once() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), Err(Hole::Count));
}

#[test]
fn a_deleted_entry_is_a_hole_also_when_later_ones_were_read() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(Hole::Count));
}

#[test]
fn a_stream_that_is_gone_is_a_hole_and_then_complete_with_a_horizon() {
    let mut proof = tailing();
    assert_eq!(proof.head(Head::Missing, at(7), SERVER_TIME), Err(Hole::Missing));
    proof.restart();
    let lost_up_to = Some(SERVER_TIME);
    let passed_again = Passed { lost_up_to, is_young: true, ..passed_first(8) };
    assert_eq!(proof.head(Head::Missing, at(8), SERVER_TIME), Ok(Some(passed_again)));
    // One hole, told once: while nobody makes the stream anew, the view is fresh.
    assert_eq!(proof.head(Head::Missing, at(9), SERVER_TIME), passed(9));
    assert_eq!(proof.head(head(21, 21, 1), at(10), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(21)), passed(10));
    assert_eq!(proof.head(Head::Missing, at(11), SERVER_TIME), Err(Hole::Missing));
}

#[test]
fn ids_or_counts_that_go_back_are_holes() {
    assert_eq!(tailing().head(head(11, 12, 3), at(7), SERVER_TIME), Err(Hole::IdsWentBack));
    assert_eq!(tailing().head(head(11, 13, 2), at(7), SERVER_TIME), Err(Hole::Count));
    let mut proof = tailing();
    assert_eq!(proof.entry(id(13)), Err(Hole::IdsWentBack));
}

#[test]
fn a_stream_made_anew_with_as_many_entries_is_a_hole() {
    // Refilled past the cursor: the ids are ahead, three were added again, none was read.
    let mut proof = tailing();
    assert_eq!(proof.head(head(21, 23, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(21)), Ok(None));
    assert_eq!(proof.entry(id(22)), Ok(None));
    assert_eq!(proof.entry(id(23)), Err(Hole::Count));
}

#[test]
fn entries_with_ids_from_before_the_window_are_read_and_counted() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.cursor(), StreamId::ZERO);
    assert_eq!(proof.head(head(3, 4, 2), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(3)), Ok(None));
    assert_eq!(proof.entry(id(4)), Ok(Some(passed_first(1))));
}

#[test]
fn history_trimmed_before_the_window_raises_no_horizon() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(9, 12, 500), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    assert!(!proof.is_tailing(), "the counters must be asked once more, after the replay");
    assert_eq!(proof.head(head(9, 12, 500), at(2), SERVER_TIME), Ok(Some(passed_first(2))));
}

#[test]
fn history_trimmed_inside_the_window_raises_the_horizon_to_its_first_entry() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(11, 12, 500), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    let lost_up_to = Duration::from_millis(11);
    assert_eq!(proof.head(head(11, 12, 500), at(2), SERVER_TIME), passed_without(2, lost_up_to));
}

#[test]
fn history_trimmed_to_nothing_raises_the_horizon_to_its_last_id() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(0, 40, 500), at(1), SERVER_TIME), Ok(None));
    // The cursor is behind the last id and no entry will come to move it there.
    assert_eq!(proof.drained(), Ok(None));
    assert_eq!(proof.head(head(0, 40, 500), at(2), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), passed_without(2, Duration::from_millis(40)));
}

#[test]
fn an_entry_deleted_inside_the_window_raises_the_horizon() {
    let deleted = |last| {
        Head::Present(Counters {
            last_generated: id(last),
            entries_added: 500,
            first: id(9),
            max_deleted: id(11),
        })
    };
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(deleted(12), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    let lost_up_to = Duration::from_millis(11);
    assert_eq!(proof.head(deleted(12), at(2), SERVER_TIME), passed_without(2, lost_up_to));
}

#[test]
fn a_server_that_does_not_count_proves_nothing_but_that_ids_do_not_go_back() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(Head::Uncounted(id(12)), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(12)), passed_young(1));
    // Whatever was deleted in between.
    assert_eq!(proof.head(Head::Uncounted(id(15)), at(2), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), passed(2));
    let back = proof.head(Head::Uncounted(id(11)), at(3), SERVER_TIME);
    assert_eq!(back, Err(Hole::IdsWentBack));
}

#[test]
fn a_whole_stream_that_is_older_than_the_window_was_not_made_anew_inside_it() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(9, 12, 2), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(9)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(Some(passed_first(1))));
}

#[test]
fn a_stream_read_again_is_counted_once() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.cursor(), StreamId::ZERO);
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12, 13] {
        assert!(!proof.is_tailing());
        assert_eq!(proof.entry(id(again)), Ok(None));
    }
    assert!(proof.is_tailing());
    assert_eq!(proof.entry(id(14)), passed(7));
}

#[test]
fn a_stream_read_again_is_proven_only_when_its_end_is_reached() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head(12, 13, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    assert_eq!(proof.entry(id(13)), passed(7));
    // Nothing is left of what was read before.
    proof.reread();
    assert_eq!(proof.head(head(0, 13, 3), at(8), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), passed(8));
    assert_eq!(proof.cursor(), id(13));
}

#[test]
fn a_stream_read_again_that_ends_earlier_is_a_hole() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head(11, 12, 2), at(7), SERVER_TIME), Err(Hole::IdsWentBack));
}

/// A proof that counts on after entries 11, 12 and 13, and has read these again.
fn resumed() -> Proof {
    let proof = Proof::resumed(id(10), &tailing().checkpoint().unwrap());
    assert_eq!(proof.cursor(), StreamId::ZERO, "everything is read again");
    assert!(!proof.is_tailing());
    proof
}

#[test]
fn resumed_proof_counts_on_and_passes_once_everything_was_read_again() {
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12] {
        assert_eq!(proof.entry(id(again)), Ok(None));
        assert_eq!(proof.checkpoint(), None);
    }
    assert_eq!(proof.entry(id(13)), Ok(None));
    assert_eq!(proof.entry(id(14)), passed(7));
    assert!(proof.checkpoint().is_some());

    // Nothing is left of what was read before: trimmed, and no hole.
    let mut proof = resumed();
    assert_eq!(proof.head(head(14, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), passed(7));
    let mut proof = resumed();
    assert_eq!(proof.head(head(0, 13, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), passed(7));
    assert_eq!(proof.cursor(), id(13));
}

#[test]
fn resumed_proof_reads_ids_given_twice_and_counts_them_as_read() {
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 15, 4), at(7), SERVER_TIME), Ok(None));
    // Entry 13 was lost; another has an id that had been passed.
    for entry in [StreamId::new(11, 0), StreamId::new(12, 0), StreamId::new(12, 1)] {
        assert_eq!(proof.entry(entry), Ok(None));
    }
    assert_eq!(proof.entry(id(15)), passed(7));
}

#[test]
fn resumed_proof_finds_what_is_missing_after_its_end() {
    assert_eq!(resumed().head(head(11, 12, 3), at(7), SERVER_TIME), Err(Hole::IdsWentBack));
    assert_eq!(resumed().head(Head::Missing, at(7), SERVER_TIME), Err(Hole::Missing));
    let mut proof = resumed();
    assert_eq!(proof.head(head(11, 13, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), Err(Hole::Count));
    let mut proof = resumed();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(Hole::Count));
}

#[test]
fn a_proof_stands_nowhere_while_it_reads_history_or_reads_again() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.checkpoint(), None);
    assert_eq!(proof.head(head(11, 13, 5), at(1), SERVER_TIME), Ok(None));
    for n in 11..=13 {
        assert_eq!(proof.entry(id(n)), Ok(None));
    }
    assert_eq!(proof.checkpoint(), None, "two are missing, and it is not known from where");
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.checkpoint(), None, "what comes may have replaced what was counted");
    assert_eq!(proof.drained(), Ok(None));
    assert!(proof.checkpoint().is_some());
}

/// The counters of a stream whose newest entry that was deleted has this id.
fn head_with_deleted(first: u64, last: u64, added: u64, max_deleted: u64) -> Head {
    let Head::Present(counters) = head(first, last, added) else { panic!("it is present") };
    Head::Present(Counters { max_deleted: id(max_deleted), ..counters })
}

#[test]
fn equal_counts_after_takeover_hide_no_removal() {
    // The next server lacks entry 13, and got 14 and 15, of which one was removed before anybody
    // read it: one was lost and one removed, so the counts agree.
    for removed in [head_with_deleted(11, 15, 4, 14), head_with_deleted(15, 15, 4, 0)] {
        let mut proof = tailing();
        proof.reread();
        assert_eq!(proof.head(removed, at(7), SERVER_TIME), Ok(None));
        let Head::Present(counters) = removed else { panic!("it is present") };
        if counters.first == id(11) {
            assert_eq!(proof.entry(id(11)), Ok(None));
            assert_eq!(proof.entry(id(12)), Ok(None));
        }
        assert_eq!(proof.entry(id(15)), Err(Hole::Count), "{removed:?}");
    }
    // Nothing newer was removed, and the takeover ends with the first check that passes.
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head_with_deleted(12, 14, 4, 11), at(7), SERVER_TIME), Ok(None));
    for again in [12, 13] {
        assert_eq!(proof.entry(id(again)), Ok(None));
    }
    assert_eq!(proof.entry(id(14)), passed(7));
    assert_eq!(proof.head(head_with_deleted(12, 14, 4, 14), at(8), SERVER_TIME), passed(8));
}

#[test]
fn stale_counters_of_the_server_before_prove_nothing_after_takeover() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 15, 5), at(5), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    proof.reread();
    assert_eq!(proof.head(head(11, 16, 5), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12, 13, 14] {
        assert_eq!(proof.entry(id(again)), Ok(None));
    }
    assert_eq!(proof.entry(id(16)), passed(7));
}
