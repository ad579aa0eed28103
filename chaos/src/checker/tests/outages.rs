//! When a reader may say that it does not know.

use super::{Answer, Rule, Told};

#[test]
fn an_outage_longer_than_the_bound_explains_a_stale_view() {
    let cut = || Told::new().cut(5.0, 12.0);
    cut().asked(8.0, 0, Answer::Stale).passes();
    cut().asked(12.1, 0, Answer::Stale).passes();
    // Too early: the last proof cannot be that old.
    cut().asked(6.0, 0, Answer::Stale).breaks(Rule::Unexplained);
    Told::new().asked(8.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn a_view_that_stays_stale_when_redis_is_back_is_a_slow_recovery() {
    let cut = || Told::new().cut(5.0, 12.0);
    cut().asked(14.0, 0, Answer::Stale).passes();
    cut().asked(14.2, 0, Answer::Stale).breaks(Rule::SlowRecovery);
    cut().late(12.5, 100).asked(14.2, 0, Answer::Stale).passes();
    cut().asked(30.0, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn outages_without_time_to_recover_between_them_are_one() {
    let cuts = Told::new().cut(5.0, 7.0).cut(8.0, 9.0);
    cuts.asked(8.5, 0, Answer::Stale).passes();
    let apart = Told::new().cut(1.0, 2.0).cut(8.0, 9.0);
    apart.asked(8.5, 0, Answer::Stale).breaks(Rule::Unexplained);
}

#[test]
fn a_machine_that_runs_nothing_explains_a_stale_view() {
    Told::new().late(6.0, 600).asked(8.0, 0, Answer::Stale).passes();
}

#[test]
fn a_reader_is_given_time_to_start() {
    Told::new().asked(1.9, 0, Answer::NotReady).passes();
    Told::new().asked(2.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
    // Redis was away when it started.
    let cut = || Told::new().cut(1.0, 7.0);
    cut().asked(8.9, 0, Answer::NotReady).passes();
    cut().asked(9.2, 0, Answer::NotReady).breaks(Rule::SlowRecovery);
}

#[test]
fn a_reader_that_begins_with_a_snapshot_may_be_stale_for_as_long() {
    let told = |seconds| {
        let told = Told::new().restarted(5.0).recalled(1.0);
        told.asked(seconds, 0, Answer::Stale)
    };
    told(7.0).passes();
    told(7.2).breaks(Rule::Unexplained);
}

#[test]
fn a_reader_that_was_ready_once_is_never_unready() {
    let told = Told::new().asked(1.0, 0, Answer::Admitted);
    told.asked(1.5, 0, Answer::NotReady).breaks(Rule::UntrueReason);
    // What it has read already it may say before that.
    let mut told = Told::new().asked(0.5, 1, Answer::Revoked).asked(1.0, 0, Answer::NotReady);
    told.0.revocations[0].attempted = crate::time::At(0);
    told.passes();
}

#[test]
fn no_answer_at_all_is_nobodys_lie() {
    Told::new().asked(5.0, 0, Answer::None).passes();
}
