//! Checks when a reader may deny with an unknown verdict.

use super::{Answer, Rule, Scenario};

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
    cut().late(12.5, 100).requested(14.2, 0, Answer::Stale).passes();
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
fn stalled_machine_explains_stale_view() {
    Scenario::new().late(6.0, 600).requested(8.0, 0, Answer::Stale).passes();
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
fn missing_answer_breaks_no_rule() {
    Scenario::new().requested(5.0, 0, Answer::None).passes();
}
