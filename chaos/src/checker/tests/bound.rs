//! No request is admitted on a token whose revocation was published longer ago than the bound.

use super::{Answer, Hole, Lost, Rule, Told, at};

#[test]
fn a_revoked_token_passes_while_the_revocation_is_on_its_way_and_no_longer() {
    Told::new().asked(9.0, 1, Answer::Admitted).passes();
    Told::new().asked(11.9, 1, Answer::Admitted).passes();
    Told::new().asked(12.2, 1, Answer::Admitted).breaks(Rule::MissingAfterRecovery);
    Told::new().asked(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn a_reader_that_is_cut_off_has_the_bound_and_no_more() {
    let cut = || Told::new().cut(9.0, 20.0);
    cut().asked(12.9, 1, Answer::Admitted).passes();
    cut().asked(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    // Back in time for the bound, and then with time to recover.
    let short = || Told::new().cut(9.0, 10.5);
    short().asked(12.4, 1, Answer::Admitted).passes();
    short().asked(12.7, 1, Answer::Admitted).breaks(Rule::MissingAfterRecovery);
}

#[test]
fn a_slow_machine_moves_the_recovery_and_never_the_bound() {
    let late = || Told::new().late(10.5, 150).late(11.0, 100);
    late().asked(12.9, 1, Answer::Admitted).passes();
    late().asked(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn what_was_never_acknowledged_need_not_be_known() {
    let mut told = Told::new().asked(20.0, 1, Answer::Admitted);
    told.0.revocations[0].acked = None;
    told.passes();
}

#[test]
fn what_the_server_lost_is_excepted_and_nothing_is_in_strict_mode() {
    let lost = || Told::new().asked(1.0, 0, Answer::Admitted).lost(10.5, Lost::ByServer);
    lost().asked(20.0, 1, Answer::Admitted).passes();
    lost().strict().asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    lost().strict().restarted(12.0).asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn later_loss_excepts_nothing_before_it() {
    let lost = || Told::new().asked(1.0, 0, Answer::Admitted).lost(15.0, Lost::ByServer);
    lost().asked(14.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    lost().asked(15.0, 1, Answer::Admitted).passes();
}

#[test]
fn what_the_server_lost_is_excepted_until_a_second_source_was_read() {
    let lost = || {
        let told = Told::new().asked(1.0, 0, Answer::Admitted).lost(10.5, Lost::ByServer);
        told.cut(10.5, 11.0).baseline()
    };
    // Back at 11 s, noticed by 13 s, and read a second later.
    lost().asked(14.0, 1, Answer::Admitted).passes();
    lost().asked(14.2, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    // One that begins reads it at once.
    let restarted = || lost().restarted(15.0);
    restarted().asked(18.0, 1, Answer::Admitted).passes();
    restarted().asked(18.2, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn what_was_wiped_is_not_excepted_for_one_that_reads_on_where_another_stood() {
    let wiped = |recalled, first| {
        let mut told = Told::new().asked(1.0, 0, Answer::Admitted).lost(10.5, Lost::Wiped);
        let mut earlier = told.0.revocations[0].clone();
        (earlier.token, earlier.acked, earlier.loss) = (0, Some(at(first)), None);
        told.0.revocations.push(earlier);
        told.restarted(12.0).recalled(recalled).asked(20.0, 1, Answer::Admitted)
    };
    wiped(10.0, 2.0).breaks(Rule::BeyondBound);
    wiped(11.0, 2.0).passes();
    // Where nothing had been published yet, there is nothing to read on from.
    wiped(10.0, 10.1).passes();
}

#[test]
fn a_process_that_begins_with_a_snapshot_refuses_at_once_what_stands_in_it() {
    let told = |recalled, answer| {
        let told = Told::new().asked(10.5, 1, Answer::Revoked).restarted(12.0);
        told.recalled(recalled).asked(12.1, 1, answer)
    };
    told(11.0, Answer::Revoked).passes();
    told(11.0, Answer::NotReady).breaks(Rule::NotRecalled);
    told(11.0, Answer::Admitted).breaks(Rule::NotRecalled);
    told(10.55, Answer::NotReady).passes();
    // What had been published by then is in it too, unless it was lost.
    let published = |lost: bool| {
        let told = if lost { Told::new().lost(10.5, Lost::ByServer) } else { Told::new() };
        told.restarted(13.0).recalled(12.5).asked(13.1, 1, Answer::NotReady)
    };
    published(false).breaks(Rule::NotRecalled);
    published(true).passes();
    // And what the process before it had recalled.
    let third = told(11.0, Answer::Revoked).restarted(13.0).recalled(12.5);
    third.asked(13.1, 1, Answer::NotReady).breaks(Rule::NotRecalled);
}

#[test]
fn what_was_trimmed_or_deleted_is_not_excepted() {
    let removed = Told::new().lost(10.5, Lost::Removed).fault(10.5, 10.6, true, Hole::Everyone);
    removed.asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn what_was_wiped_is_excepted_for_readers_that_begin_afterwards() {
    let wiped = || Told::new().asked(1.0, 0, Answer::Admitted).lost(10.5, Lost::Wiped);
    wiped().asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    wiped().restarted(12.0).asked(20.0, 1, Answer::Admitted).passes();
}

#[test]
fn what_was_deleted_is_excepted_once_a_wipe_has_taken_the_counters_too() {
    let mut told = Told::new().lost(10.5, Lost::Removed).restarted(11.0);
    told.0.revocations[0].loss.as_mut().unwrap().untraced = Some(super::at(14.0));
    let before = Told(told.0.clone()).asked(12.0, 0, Answer::Admitted);
    before.asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    told.restarted(15.0).asked(20.0, 1, Answer::Admitted).passes();
}

#[test]
fn what_was_misdated_and_removed_is_excepted_for_readers_that_begin_afterwards() {
    let removed = |id: &str| {
        let mut told = Told::new().asked(1.0, 0, Answer::Admitted).lost(10.5, Lost::Removed);
        told.0.revocations[0].id = Some(id.to_owned());
        told
    };
    let (right, wrong) = ("1795000010000-0", "1795000004000-0");
    removed(wrong).asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    removed(wrong).restarted(12.0).asked(20.0, 1, Answer::Admitted).passes();
    removed(right).restarted(12.0).asked(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn a_process_that_knew_must_not_forget_even_what_the_server_lost() {
    let known = || Told::new().lost(10.5, Lost::ByServer).asked(10.4, 1, Answer::Revoked);
    known().asked(20.0, 1, Answer::Admitted).breaks(Rule::Forgotten);
    known().restarted(15.0).asked(20.0, 1, Answer::Admitted).passes();
}
