//! Checks that every denial has a true reason, and that good tokens are admitted.

use super::{Answer, Hole, Rule, Scope, Told, UNIX_START};

#[test]
fn only_revoked_tokens_may_be_denied_as_revoked() {
    Told::new().asked(10.5, 1, Answer::Revoked).passes();
    // Attempted and not yet acknowledged: a reader may know it already.
    Told::new().asked(9.95, 1, Answer::Revoked).passes();
    Told::new().asked(9.0, 1, Answer::Revoked).breaks(Rule::UntrueReason);
    Told::new().asked(20.0, 0, Answer::Revoked).breaks(Rule::UntrueReason);
}

#[test]
fn unexpected_answer_breaks_rule() {
    let other = || Answer::Other("401 missing_token".to_owned());
    Told::new().asked(5.0, 0, other()).breaks(Rule::UntrueReason);
}

#[test]
fn gap_explains_denial_of_older_tokens() {
    let told = || Told::new().fault(5.0, 6.0, false, Hole::Everyone);
    told().asked(20.0, 0, Answer::HistoryIncomplete).passes();
    told().asked(4.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    Told::new().asked(20.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    let no_hole = Told::new().fault(5.0, 6.0, true, Hole::Nobody);
    no_hole.asked(20.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
}

#[test]
fn gap_does_not_explain_denial_of_newer_tokens() {
    let minted = |second: i64| {
        let mut told = Told::new().fault(5.0, 6.0, false, Hole::Everyone);
        told.0.tokens[0].iat = UNIX_START + second;
        told.asked(30.0, 0, Answer::HistoryIncomplete)
    };
    // The gap is detected by 8 s, and the margin is 5 s.
    minted(14).passes();
    minted(15).breaks(Rule::Unexplained);
}

#[test]
fn cut_off_reader_detects_gap_when_back() {
    let minted = |scope| {
        let mut told = Told::new().fault(5.0, 6.0, false, Hole::Everyone).cut(4.0, 16.0);
        told.0.faults[1].scope = scope;
        told.0.tokens[0].iat = UNIX_START + 20;
        told.asked(30.0, 0, Answer::HistoryIncomplete)
    };
    minted(Scope::Reader(0)).passes();
    minted(Scope::Reader(1)).breaks(Rule::Unexplained);
}

#[test]
fn trimmed_history_is_gap_only_for_new_readers() {
    let tidied = || {
        let told = Told::new().asked(1.0, 0, Answer::Admitted);
        told.fault(5.0, 6.0, false, Hole::Newcomers)
    };
    tidied().asked(7.0, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    tidied().restarted(7.0).asked(8.0, 0, Answer::HistoryIncomplete).passes();
}

#[test]
fn start_in_strict_mode_explains_denial_of_older_tokens() {
    let strict = |second: i64| {
        let mut told = Told::new().strict();
        told.0.tokens[0].iat = UNIX_START + second;
        told.asked(20.0, 0, Answer::HistoryIncomplete)
    };
    strict(8).passes();
    strict(9).breaks(Rule::Unexplained);
}

#[test]
fn baseline_ends_denial_of_older_tokens() {
    let told = || Told::new().fault(5.0, 6.0, false, Hole::Everyone).baseline();
    told().asked(9.0, 0, Answer::HistoryIncomplete).passes();
    told().asked(9.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    // A process that starts later detects the gap and reads the baseline itself.
    told().restarted(20.0).asked(23.0, 0, Answer::HistoryIncomplete).passes();
    told().restarted(20.0).asked(23.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
    let start = || Told::new().strict().baseline();
    start().asked(3.0, 0, Answer::HistoryIncomplete).passes();
    start().asked(3.2, 0, Answer::HistoryIncomplete).breaks(Rule::Unexplained);
}

#[test]
fn reader_with_older_snapshot_detects_gap_again() {
    let told = |recalled: f64, second: i64| {
        let mut told = Told::new().fault(5.0, 6.0, false, Hole::Everyone);
        told.0.tokens[0].iat = UNIX_START + second;
        told.restarted(20.0).recalled(recalled).asked(30.0, 0, Answer::HistoryIncomplete)
    };
    told(4.0, 28).passes();
    told(4.0, 29).breaks(Rule::Unexplained);
    told(5.5, 28).breaks(Rule::Unexplained);
}

#[test]
fn ids_from_future_let_new_reader_suspect_any_loss() {
    let minted = |ids_ahead| {
        let mut told = Told::new().fault(5.0, 6.0, false, Hole::Everyone);
        told.0.faults[0].ids_ahead = ids_ahead;
        told.0.tokens[0].iat = UNIX_START + 20;
        told.restarted(20.0).asked(21.0, 0, Answer::HistoryIncomplete)
    };
    minted(true).passes();
    minted(false).breaks(Rule::Unexplained);
}
