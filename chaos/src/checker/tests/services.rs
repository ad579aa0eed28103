//! Checks the rules for services with another layer than the gateway's, and for resumed sessions.

use super::{Answer, GapScope, Lost, Resumed, Route, Rule, Scenario, at};

#[test]
fn request_with_two_tokens_must_be_denied() {
    let asked = |answer| Scenario::new().requested(5.0, 0, answer).to(Route::TwoHeaders);
    asked(Answer::Ambiguous).passes();
    asked(Answer::Admitted).breaks(Rule::TwoHeaders);
    Scenario::new().requested(5.0, 0, Answer::Ambiguous).breaks(Rule::UntrueReason);
}

#[test]
fn sts_need_not_know_of_losses_and_has_no_horizon() {
    let read = || Scenario::new().requested(1.0, 0, Answer::Admitted).lost(15.0, Lost::ByServer);
    read().requested(20.0, 1, Answer::Admitted).to(Route::Sts).passes();
    read().requested(20.0, 1, Answer::Admitted).to(Route::Resource).breaks(Rule::BeyondBound);
    let gap = || Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
    let incomplete = || gap().requested(20.0, 0, Answer::HistoryIncomplete);
    incomplete().to(Route::Sts).breaks(Rule::UntrueReason);
    incomplete().to(Route::Policy).passes();
    Scenario::new().requested(20.0, 1, Answer::Admitted).to(Route::Sts).breaks(Rule::BeyondBound);
}

#[test]
fn hidden_revocation_counts_for_all_but_sts() {
    let hidden = |route| {
        let mut scenario = Scenario::new().requested(20.0, 1, Answer::Admitted).to(route);
        scenario.0.revocations[0].hidden = true;
        scenario
    };
    hidden(Route::Sts).passes();
    hidden(Route::Gateway).breaks(Rule::BeyondBound);
}

#[test]
fn resumed_session_must_be_admitted_soon() {
    let resumed = |seconds| {
        let mut scenario = Scenario::new();
        scenario.0.tokens[0].resumed = Some(Resumed { acked: at(12.0), key: 0 });
        scenario.requested(seconds, 0, Answer::Revoked)
    };
    resumed(13.9).passes();
    resumed(14.1).breaks(Rule::UntrueReason);
    resumed(14.1).cut(12.5, 13.0).passes();
    // A reader that cannot prove its view may lag.
    resumed(14.1).unproven_until(15.0).passes();
    resumed(14.1).fault(12.5, 12.5, false, GapScope::Everyone).passes();
    resumed(14.1).fault(5.0, 5.1, false, GapScope::Everyone).breaks(Rule::UntrueReason);
}

#[test]
fn loss_about_keys_counts_only_if_it_can_be_noticed() {
    // The reader was calm for two seconds before the loss in the first case only.
    let lost = |seconds, how| {
        let mut scenario = Scenario::new().requested(1.0, 0, Answer::Admitted).lost(seconds, how);
        scenario.0.revocations[0].what = "Keys".to_owned();
        scenario.requested(20.0, 1, Answer::Admitted)
    };
    lost(12.1, Lost::Wiped).breaks(Rule::BeyondBound);
    lost(10.5, Lost::Wiped).passes();
    lost(10.5, Lost::ByServer).passes();
}
