//! Checks when a reader may deny with an unknown verdict.

use std::time::Duration;

use super::{Answer, GapScope, Rule, Scenario, at};

#[test]
fn outage_longer_than_bound_explains_stale_view() {
    let cut = || Scenario::new().cut(5.0, 12.0);
    cut().requested(8.0, 0, Answer::Stale).passes();
    cut().requested(12.1, 0, Answer::Stale).passes();
    // Too early: the last proof cannot be that old.
    cut().requested(6.0, 0, Answer::Stale).breaks(Rule::Unexplained);
    Scenario::new().requested(8.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn stale_view_after_recovery_time_is_slow_recovery() {
    let cut = || Scenario::new().cut(5.0, 12.0);
    cut().requested(14.0, 0, Answer::Stale).passes();
    cut().requested(14.2, 0, Answer::Stale).breaks(Rule::SlowRecovery);
    cut().requested(30.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn outages_without_recovery_time_between_them_count_as_one() {
    let cuts = Scenario::new().cut(5.0, 7.0).cut(8.0, 9.0);
    cuts.requested(8.5, 0, Answer::Stale).passes();
    let apart = Scenario::new().cut(1.0, 2.0).cut(8.0, 9.0);
    apart.requested(8.5, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn reader_has_time_to_start() {
    Scenario::new().requested(1.9, 0, Answer::NotReady).passes();
    Scenario::new().requested(2.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
    // Redis is down when the reader starts.
    let cut = || Scenario::new().cut(1.0, 7.0);
    cut().requested(8.9, 0, Answer::NotReady).passes();
    cut().requested(9.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
}

#[test]
fn reader_with_snapshot_may_be_stale_until_recovered() {
    let scenario = |seconds| {
        let scenario = Scenario::new().restarted(5.0).recalled(1.0);
        scenario.requested(seconds, 0, Answer::Stale)
    };
    scenario(7.0).passes();
    scenario(7.2).breaks(Rule::Unexplained);
}

#[test]
fn ready_reader_must_not_become_unready() {
    let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted);
    scenario.requested(1.5, 0, Answer::NotReady).breaks(Rule::UntrueReason);
    // Before it is ready, it may deny tokens whose revocation it has read.
    let mut scenario =
        Scenario::new().requested(0.5, 1, Answer::Revoked).requested(1.0, 0, Answer::NotReady);
    scenario.0.revocations[0].attempted = crate::time::At(0);
    scenario.passes();
}

#[test]
fn running_process_must_answer_within_a_second() {
    let asked = || Scenario::new().requested(5.0, 0, Answer::None);
    asked().breaks(Rule::Unanswered);
    let late = |by: u64| {
        let mut scenario = Scenario::new().requested(5.0, 0, Answer::Admitted);
        scenario.0.requests[0].received =
            scenario.0.requests[0].sent.plus(Duration::from_millis(by));
        scenario
    };
    late(1_000).passes();
    late(1_001).breaks(Rule::Unanswered);
    Scenario::new().probed(5.0, Some("no answer")).breaks(Rule::Unanswered);
    // It is being ended, or is suspended.
    let mut ending = asked();
    ending.0.readers[0].leaving = Some(at(5.005));
    ending.passes();
    let suspended = |began, ended| {
        let mut scenario = asked().cut(began, ended);
        scenario.0.faults[0].suspends = true;
        scenario
    };
    suspended(4.0, 5.5).passes();
    suspended(4.0, 4.5).breaks(Rule::Unanswered);
    suspended(5.5, 6.0).breaks(Rule::Unanswered);
    asked().cut(4.0, 5.5).breaks(Rule::Unanswered);
}

#[test]
fn large_message_delays_the_first_proof_by_a_third_of_the_bound() {
    let cut = |seconds| {
        let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted).cut(5.0, 9.0);
        scenario.requested(seconds, 0, Answer::Stale)
    };
    cut(10.9).passes();
    cut(11.9).breaks(Rule::SlowRecovery);
    let enlarged = |seconds| {
        let mut scenario = cut(seconds).fault(2.0, 2.1, false, GapScope::Nobody);
        scenario.0.faults[1].enlarges = true;
        scenario
    };
    enlarged(11.9).passes();
    enlarged(12.1).breaks(Rule::SlowRecovery);
}
