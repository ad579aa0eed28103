//! Checks that no token is admitted once its revocation is older than the bound.

use super::{Answer, GapScope, Lost, Rule, Scenario, at};

#[test]
fn allows_revoked_token_only_until_revocation_arrives() {
    Scenario::new().requested(9.0, 1, Answer::Admitted).passes();
    Scenario::new().requested(11.9, 1, Answer::Admitted).passes();
    Scenario::new().requested(12.2, 1, Answer::Admitted).breaks(Rule::MissingAfterRecovery);
    Scenario::new().requested(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn allows_cut_off_reader_the_bound_only() {
    let cut = || Scenario::new().cut(9.0, 20.0);
    cut().requested(12.9, 1, Answer::Admitted).passes();
    cut().requested(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    // Redis is back within the bound, and the reader has time to recover.
    let short = || Scenario::new().cut(9.0, 10.5);
    short().requested(12.4, 1, Answer::Admitted).passes();
    short().requested(12.7, 1, Answer::Admitted).breaks(Rule::MissingAfterRecovery);
}

#[test]
fn slow_machine_extends_recovery_but_not_bound() {
    let late = || Scenario::new().late(10.5, 150).late(11.0, 100);
    late().requested(12.9, 1, Answer::Admitted).passes();
    late().requested(13.1, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn unacknowledged_revocation_need_not_be_denied() {
    let mut scenario = Scenario::new().requested(20.0, 1, Answer::Admitted);
    scenario.0.revocations[0].acked = None;
    scenario.passes();
}

#[test]
fn excuses_server_loss_except_in_strict_mode() {
    let lost = || Scenario::new().requested(1.0, 0, Answer::Admitted).lost(10.5, Lost::ByServer);
    lost().requested(20.0, 1, Answer::Admitted).passes();
    lost().strict().requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    lost().strict().restarted(12.0).requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn loss_excuses_no_earlier_admission() {
    let lost = || Scenario::new().requested(1.0, 0, Answer::Admitted).lost(15.0, Lost::ByServer);
    lost().requested(14.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    lost().requested(15.0, 1, Answer::Admitted).passes();
}

#[test]
fn excuses_server_loss_until_baseline_is_read() {
    let lost = || {
        let scenario =
            Scenario::new().requested(1.0, 0, Answer::Admitted).lost(10.5, Lost::ByServer);
        scenario.cut(10.5, 11.0).baseline()
    };
    // Redis is back at 11 s, the loss is noticed by 13 s, and the baseline is read a second later.
    lost().requested(14.0, 1, Answer::Admitted).passes();
    lost().requested(14.2, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    // A new process reads the baseline at its start.
    let restarted = || lost().restarted(15.0);
    restarted().requested(18.0, 1, Answer::Admitted).passes();
    restarted().requested(18.2, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn wipe_is_no_excuse_after_restoring_snapshot() {
    let wiped = |recalled, first| {
        let mut scenario =
            Scenario::new().requested(1.0, 0, Answer::Admitted).lost(10.5, Lost::Wiped);
        let mut earlier = scenario.0.revocations[0].clone();
        (earlier.token, earlier.acked, earlier.loss) = (0, Some(at(first)), None);
        scenario.0.revocations.push(earlier);
        scenario.restarted(12.0).recalled(recalled).requested(20.0, 1, Answer::Admitted)
    };
    wiped(10.0, 2.0).breaks(Rule::BeyondBound);
    wiped(11.0, 2.0).passes();
    // Before the first message, the snapshot has no cursor in the stream.
    wiped(10.0, 10.1).passes();
}

#[test]
fn process_denies_revocations_in_its_snapshot_at_once() {
    let scenario = |recalled, answer| {
        let scenario = Scenario::new().requested(10.5, 1, Answer::Revoked).restarted(12.0);
        scenario.recalled(recalled).requested(12.1, 1, answer)
    };
    scenario(11.0, Answer::Revoked).passes();
    scenario(11.0, Answer::NotReady).breaks(Rule::NotRecalled);
    scenario(11.0, Answer::Admitted).breaks(Rule::NotRecalled);
    scenario(10.55, Answer::NotReady).passes();
    // The snapshot also has all messages published before it, unless they were lost.
    let published = |lost: bool| {
        let scenario =
            if lost { Scenario::new().lost(10.5, Lost::ByServer) } else { Scenario::new() };
        scenario.restarted(13.0).recalled(12.5).requested(13.1, 1, Answer::NotReady)
    };
    published(false).breaks(Rule::NotRecalled);
    published(true).passes();
    // It also has the contents of the previous snapshot.
    let third = scenario(11.0, Answer::Revoked).restarted(13.0).recalled(12.5);
    third.requested(13.1, 1, Answer::NotReady).breaks(Rule::NotRecalled);
}

#[test]
fn trimming_and_deletion_are_no_excuse() {
    let removed =
        Scenario::new().lost(10.5, Lost::Removed).fault(10.5, 10.6, true, GapScope::Everyone);
    removed.requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn wipe_excuses_readers_that_start_later() {
    let wiped = || Scenario::new().requested(1.0, 0, Answer::Admitted).lost(10.5, Lost::Wiped);
    wiped().requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    wiped().restarted(12.0).requested(20.0, 1, Answer::Admitted).passes();
}

#[test]
fn deletion_is_excused_once_counters_are_wiped() {
    let mut scenario = Scenario::new().lost(10.5, Lost::Removed).restarted(11.0);
    scenario.0.revocations[0].loss.as_mut().unwrap().untraced = Some(super::at(14.0));
    let before = Scenario(scenario.0.clone()).requested(12.0, 0, Answer::Admitted);
    before.requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    scenario.restarted(15.0).requested(20.0, 1, Answer::Admitted).passes();
}

#[test]
fn removal_of_misdated_message_excuses_readers_that_start_later() {
    let removed = |id: &str| {
        let mut scenario =
            Scenario::new().requested(1.0, 0, Answer::Admitted).lost(10.5, Lost::Removed);
        scenario.0.revocations[0].id = Some(id.to_owned());
        scenario
    };
    let (right, wrong) = ("1795000010000-0", "1795000004000-0");
    removed(wrong).requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    removed(wrong).restarted(12.0).requested(20.0, 1, Answer::Admitted).passes();
    removed(right).restarted(12.0).requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn process_must_not_forget_known_revocation_after_server_loss() {
    let known = || Scenario::new().lost(10.5, Lost::ByServer).requested(10.4, 1, Answer::Revoked);
    known().requested(20.0, 1, Answer::Admitted).breaks(Rule::Forgotten);
    known().restarted(15.0).requested(20.0, 1, Answer::Admitted).passes();
}
