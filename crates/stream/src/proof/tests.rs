use super::*;

mod resumed;
mod takeover;

const SERVER_TIME: Duration = Duration::from_secs(1_795_400_000);

fn at(second: u64) -> Moment {
    Moment { monotonic: Duration::from_secs(second), wall: Duration::from_secs(second) }
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Returns the head of a stream that contains entries `first..=last`, of `added` ever added.
fn head(first: u64, last: u64, added: u64) -> Head {
    Head::Present(Counters {
        last_generated: id(last),
        entries_added: added,
        first: id(first),
        max_deleted: StreamId::ZERO,
    })
}

fn proven(as_of: u64) -> Result<Option<Proven>, GapCause> {
    Ok(Some(Proven { as_of: at(as_of), lost_up_to: None, unshown_up_to: None, is_young: false }))
}

/// Returns the result of the first complete read of a stream.
fn proven_first(as_of: u64) -> Proven {
    let unshown_up_to = Some(SERVER_TIME);
    Proven { as_of: at(as_of), lost_up_to: None, unshown_up_to, is_young: false }
}

/// Returns the result of the first complete read of a stream from which no entry was removed.
fn proven_young(as_of: u64) -> Result<Option<Proven>, GapCause> {
    Ok(Some(Proven { is_young: true, ..proven_first(as_of) }))
}

fn proven_without(as_of: u64, lost_up_to: Duration) -> Result<Option<Proven>, GapCause> {
    Ok(Some(Proven { lost_up_to: Some(lost_up_to), ..proven_first(as_of) }))
}

/// Returns a proof that has read entries 11, 12 and 13, the only ones ever added.
fn tailing() -> Proof {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(11, 13, 3), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    assert_eq!(proof.entry(id(13)), proven_young(1));
    proof
}

#[test]
fn replayed_part_is_that_of_the_time_between_first_and_last_entry() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.replayed(), 0.0, "the server was not asked yet");
    assert_eq!(proof.head(head(20, 60, 5), at(1), SERVER_TIME), Ok(None));
    for (entry, replayed) in [(20, 0.0), (30, 0.25), (50, 0.75)] {
        assert_eq!(proof.entry(id(entry)), Ok(None));
        assert_eq!(proof.replayed(), replayed, "{entry}");
        assert!(!proof.is_tailing());
    }
    // Entries that arrive meanwhile lie beyond the end that was asked for.
    assert_eq!(proof.entry(id(59)), Ok(None));
    assert!(proof.entry(id(70)).is_ok());
    assert!(proof.replayed() <= 1.0);
    let proof = tailing();
    assert_eq!((proof.replayed(), proof.is_tailing()), (1.0, true));
}

#[test]
fn stream_is_seen_once_it_exists() {
    let mut proof = Proof::since(id(10));
    assert!(proof.is_unseen());
    assert!(proof.head(Head::Missing, at(1), SERVER_TIME).is_ok());
    assert!(proof.is_unseen());
    assert!(proof.head(head(0, 0, 0), at(2), SERVER_TIME).is_ok());
    assert!(!proof.is_unseen());
}

#[test]
fn gaps_have_their_labels() {
    let labels = [GapCause::Missing, GapCause::IdsWentBack, GapCause::Count, GapCause::Suspected]
        .map(GapCause::label);
    assert_eq!(labels, ["missing", "ids_went_back", "count", "suspected"]);
}

#[test]
fn empty_or_missing_stream_is_complete_at_once() {
    for nothing in [Head::Missing, head(0, 0, 0)] {
        let mut proof = Proof::since(id(10));
        assert_eq!(proof.head(nothing, at(1), SERVER_TIME), proven_young(1));
    }
}

#[test]
fn stream_read_from_first_entry_is_complete() {
    assert!(tailing().is_tailing());
}

#[test]
fn answer_without_entries_proves_as_of_its_question() {
    assert_eq!(tailing().head(head(11, 13, 3), at(7), SERVER_TIME), proven(7));
}

#[test]
fn trimming_behind_cursor_is_no_gap() {
    assert_eq!(tailing().head(head(13, 13, 3), at(7), SERVER_TIME), proven(7));
    let mut proof = tailing();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    assert_eq!(proof.entry(id(15)), proven(7));
}

#[test]
fn entries_after_counters_count_for_next_check() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), proven(7));
    assert_eq!(proof.entry(id(15)), Ok(None));
    assert_eq!(proof.head(head(11, 15, 5), at(8), SERVER_TIME), proven(8));
}

#[test]
fn check_stays_pending_over_several_reads() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(14)), Ok(None));
    assert_eq!(proof.head(head(11, 99, 9), at(8), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), proven(7));
}

#[test]
fn trimmed_entry_ahead_of_cursor_is_a_gap() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(15, 15, 5), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(GapCause::Count));
}

#[test]
fn deleted_last_entry_is_a_gap_at_once() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), Err(GapCause::Count));
}

#[test]
fn deleted_entry_before_later_ones_is_a_gap() {
    let mut proof = tailing();
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(15)), Err(GapCause::Count));
}

#[test]
fn deleted_stream_is_a_gap_then_complete_with_horizon() {
    let mut proof = tailing();
    assert_eq!(proof.head(Head::Missing, at(7), SERVER_TIME), Err(GapCause::Missing));
    proof.restart();
    let lost_up_to = Some(SERVER_TIME);
    let proven_again = Proven { lost_up_to, is_young: true, ..proven_first(8) };
    assert_eq!(proof.head(Head::Missing, at(8), SERVER_TIME), Ok(Some(proven_again)));
    // The gap is reported once. While the stream stays missing, the view is fresh.
    assert_eq!(proof.head(Head::Missing, at(9), SERVER_TIME), proven(9));
    assert_eq!(proof.head(head(21, 21, 1), at(10), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(21)), proven(10));
    assert_eq!(proof.head(Head::Missing, at(11), SERVER_TIME), Err(GapCause::Missing));
}

#[test]
fn ids_or_counts_that_go_back_are_gaps() {
    assert_eq!(tailing().head(head(11, 12, 3), at(7), SERVER_TIME), Err(GapCause::IdsWentBack));
    assert_eq!(tailing().head(head(11, 13, 2), at(7), SERVER_TIME), Err(GapCause::Count));
    let mut proof = tailing();
    assert_eq!(proof.entry(id(13)), Err(GapCause::IdsWentBack));
}

#[test]
fn recreated_stream_with_as_many_entries_is_a_gap() {
    // Refilled beyond the cursor: the ids are higher, three entries were added again, and none was
    // read.
    let mut proof = tailing();
    assert_eq!(proof.head(head(21, 23, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(21)), Ok(None));
    assert_eq!(proof.entry(id(22)), Ok(None));
    assert_eq!(proof.entry(id(23)), Err(GapCause::Count));
}

#[test]
fn reads_and_counts_entries_from_before_window() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.cursor(), StreamId::ZERO);
    assert_eq!(proof.head(head(3, 4, 2), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(3)), Ok(None));
    assert_eq!(proof.entry(id(4)), Ok(Some(proven_first(1))));
}

#[test]
fn history_trimmed_before_window_raises_no_horizon() {
    for first in [9, 10] {
        let mut proof = Proof::since(id(10));
        assert_eq!(proof.head(head(first, 12, 500), at(1), SERVER_TIME), Ok(None));
        assert_eq!(proof.entry(id(11)), Ok(None));
        assert_eq!(proof.entry(id(12)), Ok(None));
        assert!(!proof.is_tailing(), "the counters must be read again after the replay");
        let again = proof.head(head(first, 12, 500), at(2), SERVER_TIME);
        assert_eq!(again, Ok(Some(proven_first(2))), "{first}");
    }
}

#[test]
fn history_trimmed_inside_window_raises_horizon_to_first_entry() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(11, 12, 500), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(11)), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    let lost_up_to = Duration::from_millis(11);
    assert_eq!(proof.head(head(11, 12, 500), at(2), SERVER_TIME), proven_without(2, lost_up_to));
}

#[test]
fn history_trimmed_to_nothing_raises_horizon_to_last_id() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(head(0, 40, 500), at(1), SERVER_TIME), Ok(None));
    // The cursor is behind the last id, and no entry will move it there.
    assert_eq!(proof.drained(), Ok(None));
    assert_eq!(proof.head(head(0, 40, 500), at(2), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), proven_without(2, Duration::from_millis(40)));
}

#[test]
fn entry_deleted_inside_window_raises_horizon() {
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
    assert_eq!(proof.head(deleted(12), at(2), SERVER_TIME), proven_without(2, lost_up_to));
}

#[test]
fn server_without_counters_proves_only_growing_ids() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.head(Head::Uncounted(id(12)), at(1), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(12)), proven_young(1));
    // Deleted entries in between are not detected.
    assert_eq!(proof.head(Head::Uncounted(id(15)), at(2), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), proven(2));
    let back = proof.head(Head::Uncounted(id(11)), at(3), SERVER_TIME);
    assert_eq!(back, Err(GapCause::IdsWentBack));
}

#[test]
fn complete_stream_older_than_window_is_not_young() {
    for first in [9, 10] {
        let mut proof = Proof::since(id(10));
        assert_eq!(proof.head(head(first, 12, 2), at(1), SERVER_TIME), Ok(None));
        assert_eq!(proof.entry(id(first)), Ok(None));
        assert_eq!(proof.entry(id(12)), Ok(Some(proven_first(1))), "{first}");
    }
}

#[test]
fn counts_entries_once_when_rereading() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.cursor(), StreamId::ZERO);
    assert_eq!(proof.head(head(11, 14, 4), at(7), SERVER_TIME), Ok(None));
    for again in [11, 12, 13] {
        assert!(!proof.is_tailing());
        assert_eq!(proof.entry(id(again)), Ok(None));
    }
    assert!(proof.is_tailing());
    assert_eq!(proof.entry(id(14)), proven(7));
}

#[test]
fn reread_stream_is_proven_only_at_its_end() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head(12, 13, 3), at(7), SERVER_TIME), Ok(None));
    assert_eq!(proof.entry(id(12)), Ok(None));
    assert_eq!(proof.entry(id(13)), proven(7));
    // Every entry that was read before is gone now.
    proof.reread();
    assert_eq!(proof.head(head(0, 13, 3), at(8), SERVER_TIME), Ok(None));
    assert_eq!(proof.drained(), proven(8));
    assert_eq!(proof.cursor(), id(13));
}

#[test]
fn reread_stream_that_ends_earlier_is_a_gap() {
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.head(head(11, 12, 2), at(7), SERVER_TIME), Err(GapCause::IdsWentBack));
}

#[test]
fn has_no_checkpoint_while_replaying_or_rereading() {
    let mut proof = Proof::since(id(10));
    assert_eq!(proof.checkpoint(), None);
    assert_eq!(proof.head(head(11, 13, 5), at(1), SERVER_TIME), Ok(None));
    for n in 11..=13 {
        assert_eq!(proof.entry(id(n)), Ok(None));
    }
    assert_eq!(proof.checkpoint(), None, "two entries are missing at an unknown place");
    let mut proof = tailing();
    proof.reread();
    assert_eq!(proof.checkpoint(), None, "the next entries may have replaced counted ones");
    assert_eq!(proof.drained(), Ok(None));
    assert!(proof.checkpoint().is_some());
}

#[test]
fn stream_is_missing_if_it_vanishes_after_its_first_entry() {
    let mut proof = Proof::since(id(10));
    assert!(proof.head(Head::Missing, at(1), SERVER_TIME).is_ok());
    // The entry arrives in a read that does not ask for counters.
    proof.entry(id(11)).unwrap();
    assert_eq!(proof.head(Head::Missing, at(2), SERVER_TIME), Err(GapCause::Missing));
}
