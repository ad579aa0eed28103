//! Checks readers that must not be ready, and keys that readers do not know.

use super::{Answer, Lost, Rule, Scenario, at};

#[test]
fn unproven_reader_denies_every_request_and_is_never_ready() {
    let unproven = || Scenario::new().unproven_until(8.0);
    unproven().requested(7.0, 0, Answer::Admitted).breaks(Rule::FalselyReady);
    unproven().requested(7.0, 0, Answer::HistoryIncomplete).breaks_also(Rule::FalselyReady);
    unproven().probed(7.0, None).breaks(Rule::FalselyReady);
    unproven().requested(7.0, 0, Answer::NotReady).probed(7.0, Some("not_provisioned")).passes();
    // For any length of time.
    let never = Scenario::new().unproven_until(f64::INFINITY);
    never.requested(40.0, 0, Answer::NotReady).probed(40.0, Some("replaying")).passes();
    unproven().requested(8.1, 0, Answer::Admitted).probed(8.1, None).passes();
}

#[test]
fn reader_is_ready_soon_after_its_view_can_be_proven() {
    let unproven = || Scenario::new().unproven_until(8.0);
    unproven().requested(9.9, 0, Answer::NotReady).passes();
    unproven().requested(10.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
    unproven().probed(10.2, Some("not_provisioned")).breaks(Rule::SlowRecovery);
}

#[test]
fn probe_is_answered_as_requests_are() {
    let cut = || Scenario::new().cut(5.0, 12.0);
    cut().probed(9.0, Some("stale")).passes();
    cut().probed(6.0, Some("stale")).breaks(Rule::Unexplained);
    Scenario::new().probed(5.0, Some("signatures_fail")).breaks(Rule::UntrueReason);
    let around = |seconds| {
        let scenario = Scenario::new().requested(1.0, 0, Answer::NotReady).probed(seconds, None);
        scenario.requested(1.4, 0, Answer::NotReady)
    };
    around(1.2).breaks(Rule::ReadinessDiffers);
    around(1.5).passes();
}

#[test]
fn excuses_unknown_key_by_default_and_bounds_it_in_strict() {
    let unknown = || Scenario::new().signed_with(1);
    unknown().requested(20.0, 1, Answer::Admitted).passes();
    unknown().strict().requested(12.9, 1, Answer::Admitted).passes();
    unknown().strict().requested(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    // A reader with the key must deny the token, even if the previous process could not verify it.
    let learnt = || unknown().restarted(15.0).accepting(&[1, 0]);
    learnt().requested(16.0, 1, Answer::Revoked).passes();
    learnt().requested(18.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn unknown_key_is_excused_until_streams_are_read_after_snapshot() {
    let scenario = |recalled, seconds| {
        let mut scenario = Scenario::new().signed_with(1).restarted(15.0).accepting(&[1, 0]);
        scenario.0.readers[1].recalled = recalled;
        scenario.requested(seconds, 1, Answer::Admitted)
    };
    scenario(Some(at(9.0)), 16.0).passes();
    scenario(Some(at(9.0)), 17.2).breaks(Rule::BeyondBound);
    scenario(None, 16.0).breaks(Rule::BeyondBound);
}

#[test]
fn unknown_key_explains_stale_view_in_strict_mode_only() {
    let unknown = |seconds| Scenario::new().signed_with(1).requested(seconds, 0, Answer::Stale);
    unknown(20.0).breaks(Rule::Unexplained);
    unknown(20.0).strict().passes();
    unknown(12.0).strict().breaks(Rule::Unexplained);
    let learnt = unknown(12.95).strict().restarted(15.0).accepting(&[1, 0]);
    learnt.requested(16.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn forged_message_explains_stale_strict_view_for_a_minute() {
    let forged = |seconds| Scenario::new().forged(5.0).requested(seconds, 0, Answer::Stale);
    forged(9.0).breaks(Rule::Unexplained);
    forged(9.0).strict().passes();
    forged(7.0).strict().breaks(Rule::Unexplained);
    forged(66.0).strict().passes();
    forged(68.0).strict().breaks(Rule::Unexplained);
}

#[test]
fn reader_with_nothing_to_verify_need_not_be_ready() {
    // The only message was published before its start, with a key that it does not know.
    let begun = |key| {
        let scenario = Scenario::new().signed_with(key).restarted(11.0);
        scenario.requested(20.0, 0, Answer::NotReady)
    };
    begun(1).passes();
    begun(0).breaks(Rule::SlowRecovery);
}

#[test]
fn snapshot_need_not_hold_what_its_writer_could_not_verify() {
    let recalled = |key| {
        let scenario =
            Scenario::new().signed_with(key).restarted(14.0).accepting(&[1, 0]).recalled(13.5);
        scenario.requested(14.1, 1, Answer::NotReady)
    };
    recalled(1).passes();
    recalled(0).breaks(Rule::NotRecalled);
}

#[test]
fn process_with_snapshot_may_find_all_streams_gone() {
    let scenario = |is_wiped, recalled| {
        let mut scenario = Scenario::new().lost(10.5, Lost::Wiped).cut(10.5, 11.0).restarted(11.0);
        scenario.0.faults[0].wipes = is_wiped;
        scenario.0.readers[1].recalled = recalled;
        scenario.requested(11.1, 0, Answer::Admitted).requested(11.2, 0, Answer::NotReady)
    };
    scenario(true, Some(at(10.0))).passes();
    scenario(false, Some(at(10.0))).breaks(Rule::UntrueReason);
    scenario(true, None).breaks(Rule::UntrueReason);
}
