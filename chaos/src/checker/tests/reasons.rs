//! Checks that every denial has a true reason, and that good tokens are admitted.

use super::{Answer, GapScope, Resumed, Rule, Scenario, Scope, UNIX_START, at};

#[test]
fn only_revoked_tokens_may_be_denied_as_revoked() {
    Scenario::new().requested(10.5, 1, Answer::Revoked).passes();
    // Attempted and not yet acknowledged: a reader may know it already.
    Scenario::new().requested(9.95, 1, Answer::Revoked).passes();
    Scenario::new().requested(9.0, 1, Answer::Revoked).breaks(Rule::UntrueReason);
    Scenario::new().requested(20.0, 0, Answer::Revoked).breaks(Rule::UntrueReason);
}

#[test]
fn unexpected_answer_breaks_rule() {
    let other = || Answer::Other("401 missing_token".to_owned());
    Scenario::new().requested(5.0, 0, other()).breaks(Rule::UntrueReason);
}

#[test]
fn gap_explains_denial_of_older_tokens() {
    let scenario = || Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
    scenario().requested(20.0, 0, Answer::HistoryIncomplete).passes();
    scenario().requested(4.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    Scenario::new().requested(20.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    let no_gap = Scenario::new().fault(5.0, 6.0, true, GapScope::Nobody);
    no_gap.requested(20.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
}

#[test]
fn gap_does_not_explain_denial_of_newer_tokens() {
    let minted = |second: i64| {
        let mut scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
        scenario.0.tokens[0].iat = UNIX_START + second;
        scenario.requested(30.0, 0, Answer::HistoryIncomplete)
    };
    // The gap is detected by 8 s, and the margin is 5 s.
    minted(14).passes();
    minted(15).breaks(Rule::Unexplained);
}

#[test]
fn cut_off_reader_detects_gap_when_back() {
    let minted = |scope| {
        let mut scenario =
            Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone).cut(4.0, 16.0);
        scenario.0.faults[1].scope = scope;
        scenario.0.tokens[0].iat = UNIX_START + 20;
        scenario.requested(30.0, 0, Answer::HistoryIncomplete)
    };
    minted(Scope::Reader(0)).passes();
    minted(Scope::Reader(1)).breaks(Rule::Unexplained);
}

#[test]
fn trimmed_history_is_gap_only_for_new_readers() {
    let tidied = || {
        let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted);
        scenario.fault(5.0, 6.0, false, GapScope::Newcomers)
    };
    tidied().requested(7.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    tidied().restarted(7.0).requested(8.0, 0, Answer::HistoryIncomplete).passes();
}

#[test]
fn start_in_strict_mode_explains_denial_of_older_tokens() {
    let strict = |second: i64| {
        let mut scenario = Scenario::new().strict();
        scenario.0.tokens[0].iat = UNIX_START + second;
        scenario.requested(20.0, 0, Answer::HistoryIncomplete)
    };
    strict(8).passes();
    strict(9).breaks(Rule::Unexplained);
}

#[test]
fn baseline_ends_denial_of_older_tokens() {
    let scenario = || Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone).baseline();
    scenario().requested(9.0, 0, Answer::HistoryIncomplete).passes();
    scenario().requested(9.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    // A process that starts later detects the gap and reads the baseline itself.
    scenario().restarted(20.0).requested(23.0, 0, Answer::HistoryIncomplete).passes();
    scenario()
        .restarted(20.0)
        .requested(23.2, 0, Answer::HistoryIncomplete)
        .breaks(Rule::Unexplained);
    let start = || Scenario::new().strict().baseline();
    start().requested(3.0, 0, Answer::HistoryIncomplete).passes();
    start().requested(3.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
}

#[test]
fn baseline_is_read_later_after_recut_messages() {
    let recut = || {
        let mut scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone).baseline();
        scenario.0.faults[0].recuts = true;
        scenario
    };
    recut().requested(39.0, 0, Answer::HistoryIncomplete).passes();
    recut().requested(39.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    // Another server takes over, and the reader reads the message again.
    let mut again = recut().cut(40.0, 41.0);
    again.0.faults[1].takes_over = true;
    let again = |second, iat: i64| {
        let mut scenario = Scenario(again.0.clone());
        scenario.0.tokens[0].iat = UNIX_START + iat;
        scenario.requested(second, 0, Answer::HistoryIncomplete)
    };
    again(74.0, 14).passes();
    again(74.2, 14).breaks(Rule::Unexplained);
    again(74.0, 15).breaks(Rule::Unexplained);
}

#[test]
fn policy_may_be_unusable_only_during_and_after_faults() {
    let gap = |seconds| {
        let scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
        scenario.requested(seconds, 0, Answer::NoPolicy)
    };
    gap(4.9).breaks(Rule::Unexplained);
    gap(7.9).passes();
    gap(8.1).breaks(Rule::Unexplained);
    let cut = |seconds| Scenario::new().cut(5.0, 6.0).requested(seconds, 0, Answer::NoPolicy);
    cut(7.9).passes();
    cut(20.0).breaks(Rule::Unexplained);
}

#[test]
fn reader_whose_clock_is_stepped_may_be_stale() {
    let stepped = |seconds| {
        let mut scenario = Scenario::new().requested(1.0, 0, Answer::Admitted);
        scenario = scenario.fault(5.0, 8.0, false, GapScope::Nobody);
        scenario.0.faults[0].steps_clock = true;
        scenario.requested(seconds, 0, Answer::Stale)
    };
    stepped(4.9).breaks(Rule::Unexplained);
    stepped(6.9).passes();
    stepped(7.1).breaks(Rule::Unexplained);
    stepped(9.9).passes();
    stepped(10.1).breaks(Rule::Unexplained);
    // No proof arrives while the reader is cut off.
    let mut cut = stepped(7.5).cut(5.5, 5.9);
    cut.0.faults[0].ended = at(20.0);
    cut.passes();
}

#[test]
fn baseline_does_not_end_denial_of_token_of_resumed_session() {
    let scenario = |second: i64| {
        let mut scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone).baseline();
        let token = &mut scenario.0.tokens[0];
        token.iat = UNIX_START + second;
        token.resumed = Some(Resumed { acked: at(4.0), key: 0 });
        scenario.requested(20.0, 0, Answer::HistoryIncomplete)
    };
    scenario(14).passes();
    scenario(15).breaks(Rule::Unexplained);
}

#[test]
fn reader_with_older_snapshot_detects_gap_again() {
    let scenario = |recalled: f64, second: i64| {
        let mut scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
        scenario.0.tokens[0].iat = UNIX_START + second;
        scenario.restarted(20.0).recalled(recalled).requested(30.0, 0, Answer::HistoryIncomplete)
    };
    scenario(4.0, 28).passes();
    scenario(4.0, 29).breaks(Rule::Unexplained);
    scenario(5.5, 28).breaks(Rule::Unexplained);
}

#[test]
fn ids_from_future_let_new_reader_suspect_any_loss() {
    let minted = |ids_ahead| {
        let mut scenario = Scenario::new().fault(5.0, 6.0, false, GapScope::Everyone);
        scenario.0.faults[0].ids_ahead = ids_ahead;
        scenario.0.tokens[0].iat = UNIX_START + 20;
        scenario.restarted(20.0).requested(21.0, 0, Answer::HistoryIncomplete)
    };
    minted(true).passes();
    minted(false).breaks(Rule::Unexplained);
}
