//! Checks when a reader may deny with an unknown verdict.

use super::{Answer, Rule, Told};

#[test]
fn outage_longer_than_bound_explains_stale_view() {
    let cut = || Told::new().cut(5.0, 12.0);
    cut().asked(8.0, 0, Answer::Stale).passes();
    cut().asked(12.1, 0, Answer::Stale).passes();
    // Too early: the last proof cannot be that old.
    cut().asked(6.0, 0, Answer::Stale).breaks(Rule::Unexplained);
    Told::new().asked(8.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn stale_view_after_recovery_time_is_slow_recovery() {
    let cut = || Told::new().cut(5.0, 12.0);
    cut().asked(14.0, 0, Answer::Stale).passes();
    cut().asked(14.2, 0, Answer::Stale).breaks(Rule::SlowRecovery);
    cut().late(12.5, 100).asked(14.2, 0, Answer::Stale).passes();
    cut().asked(30.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn outages_without_recovery_time_between_them_count_as_one() {
    let cuts = Told::new().cut(5.0, 7.0).cut(8.0, 9.0);
    cuts.asked(8.5, 0, Answer::Stale).passes();
    let apart = Told::new().cut(1.0, 2.0).cut(8.0, 9.0);
    apart.asked(8.5, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn stalled_machine_explains_stale_view() {
    Told::new().late(6.0, 600).asked(8.0, 0, Answer::Stale).passes();
}

#[test]
fn reader_has_time_to_start() {
    Told::new().asked(1.9, 0, Answer::NotReady).passes();
    Told::new().asked(2.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
    // Redis is down when the reader starts.
    let cut = || Told::new().cut(1.0, 7.0);
    cut().asked(8.9, 0, Answer::NotReady).passes();
    cut().asked(9.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
}

#[test]
fn reader_with_snapshot_may_be_stale_until_recovered() {
    let told = |seconds| {
        let told = Told::new().restarted(5.0).recalled(1.0);
        told.asked(seconds, 0, Answer::Stale)
    };
    told(7.0).passes();
    told(7.2).breaks(Rule::Unexplained);
}

#[test]
fn ready_reader_must_not_become_unready() {
    let told = Told::new().asked(1.0, 0, Answer::Admitted);
    told.asked(1.5, 0, Answer::NotReady).breaks(Rule::UntrueReason);
    // Before it is ready, it may deny tokens whose revocation it has read.
    let mut told = Told::new().asked(0.5, 1, Answer::Revoked).asked(1.0, 0, Answer::NotReady);
    told.0.revocations[0].attempted = crate::time::At(0);
    told.passes();
}

#[test]
fn missing_answer_breaks_no_rule() {
    Told::new().asked(5.0, 0, Answer::None).passes();
}
