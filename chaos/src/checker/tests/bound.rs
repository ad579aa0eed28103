//! Checks that no token is admitted once its revocation is older than the bound.

use super::{Answer, GapScope, Lost, Rule, Scenario, at};

#[test]
fn allows_revoked_token_only_until_revocation_arrives() {
    Scenario::new().requested(9.0, 1, Answer::Admitted).passes();
    Scenario::new().requested(10.4, 1, Answer::Admitted).passes();
    Scenario::new().requested(10.6, 1, Answer::Admitted).breaks(Rule::LateInCalm);
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
fn slow_machine_excuses_nothing_and_fails_schedule() {
    let late = |by| Scenario::new().late(10.5, 150).late(11.0, 100).late(12.0, by);
    late(350).passes();
    late(351).breaks(Rule::TooSlow);
    // Only rules without a time limit count then.
    late(351).requested(10.6, 1, Answer::Admitted).breaks(Rule::TooSlow);
    late(351).requested(13.1, 1, Answer::Admitted).breaks_also(Rule::BeyondBound);
    // The delays count in a period of two seconds.
    Scenario::new().late(10.0, 400).late(12.1, 400).passes();
}

#[test]
fn recovering_reader_is_not_in_calm() {
    // The reader is back at 9 s, and has recovered by 11 s.
    let cut = |seconds| Scenario::new().cut(8.0, 9.0).requested(seconds, 1, Answer::Admitted);
    cut(11.9).passes();
    cut(12.1).breaks(Rule::MissingAfterRecovery);
}

#[test]
fn reader_on_slow_line_is_not_in_calm() {
    let slow = |until| {
        let mut scenario = Scenario::new().fault(5.0, 6.0, true, GapScope::Nobody);
        scenario.0.faults[0].slow_until = Some(at(until));
        scenario
    };
    slow(10.5).requested(11.9, 1, Answer::Admitted).passes();
    slow(10.5).requested(12.1, 1, Answer::Admitted).breaks(Rule::MissingAfterRecovery);
    // The line is fast again, and the reader has recovered.
    slow(7.9).requested(10.6, 1, Answer::Admitted).breaks(Rule::LateInCalm);
}

#[test]
fn reader_of_wiped_stream_is_not_in_calm() {
    let wiped = |seconds| {
        let mut scenario = Scenario::new().fault(seconds, seconds, false, GapScope::Everyone);
        scenario.0.faults[0].wipes = true;
        scenario.requested(10.6, 1, Answer::Admitted)
    };
    wiped(8.1).passes();
    wiped(7.9).breaks(Rule::LateInCalm);
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
    let lost = || {
        let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted).cut(9.0, 16.0);
        scenario.lost(15.0, Lost::ByServer)
    };
    lost().requested(14.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
    lost().requested(15.0, 1, Answer::Admitted).passes();
}

/// Another revocation, of token 2, that the server loses at the same time.
fn another_lost(mut scenario: Scenario, acked: f64, id: &str) -> Scenario {
    let mut another = scenario.0.revocations[0].clone();
    (another.token, another.acked, another.id) = (2, Some(at(acked)), Some(id.to_owned()));
    another.attempted = at(acked - 0.1);
    scenario.0.revocations.push(another);
    let token = scenario.0.tokens[0];
    scenario.0.tokens.push(token);
    scenario
}

#[test]
fn loss_that_counters_show_is_no_excuse() {
    let ready = || Scenario::new().requested(1.0, 0, Answer::Admitted);
    let lost = |denied: f64| {
        let scenario = Scenario::new().lost(10.5, Lost::ByServer);
        let scenario = another_lost(scenario, 10.1, "1795000010100-0");
        scenario.requested(denied, 2, Answer::Revoked).requested(20.0, 1, Answer::Admitted)
    };
    // It had read the other message, and so it can detect the loss of both.
    lost(10.4).breaks(Rule::BeyondBound);
    // It may have read the other message only from a new server.
    lost(10.6).passes();
    // It had time to read the other message.
    let calm = |acked: f64| {
        let scenario = ready().cut(11.0, 11.0).cut(9.9, 10.2).lost(12.3, Lost::ByServer);
        another_lost(scenario, acked, "1795000010100-0").requested(20.0, 1, Answer::Admitted)
    };
    calm(10.1).passes();
    let calm = another_lost(ready().lost(10.5, Lost::ByServer), 8.4, "1795000008400-0");
    calm.requested(20.0, 1, Answer::Admitted).breaks(Rule::BeyondBound);
}

#[test]
fn loss_is_excused_after_start_unless_snapshot_shows_it() {
    let scenario = |recalled| {
        let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted);
        let mut scenario =
            another_lost(scenario.lost(11.0, Lost::ByServer), 10.1, "1795000010100-0")
                .requested(10.4, 2, Answer::Revoked)
                .restarted(12.0);
        scenario.0.readers[1].recalled = recalled;
        scenario.requested(20.0, 1, Answer::Admitted)
    };
    scenario(None).passes();
    scenario(Some(at(10.3))).passes();
    scenario(Some(at(10.6))).breaks(Rule::BeyondBound);
}

#[test]
fn loss_is_excused_if_its_ids_are_assigned_again() {
    let scenario = |id: &str| {
        let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted);
        let scenario = another_lost(scenario.lost(10.5, Lost::ByServer), 10.1, "1795000010100-0");
        let mut scenario = another_lost(scenario, 11.0, id);
        let last = scenario.0.revocations.last_mut().unwrap();
        (last.token, last.loss) = (0, None);
        scenario.requested(10.4, 2, Answer::Revoked).requested(20.0, 1, Answer::Admitted)
    };
    scenario("1795000011000-0").breaks(Rule::BeyondBound);
    scenario("1795000010100-0").passes();
}

#[test]
fn baseline_denial_does_not_show_that_message_was_read() {
    let scenario = Scenario::new().requested(1.0, 0, Answer::Admitted).baseline();
    let scenario = another_lost(scenario.lost(10.5, Lost::ByServer), 10.1, "1795000010100-0");
    let scenario = scenario.requested(10.4, 2, Answer::Revoked).cut(10.5, 11.0);
    scenario.requested(13.5, 1, Answer::Admitted).passes();
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
    scenario(10.5, Answer::NotReady).passes();
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
    known().requested(20.0, 1, Answer::Admitted).breaks_also(Rule::Forgotten);
    known().restarted(15.0).requested(20.0, 1, Answer::Admitted).passes();
}
