//! Checks that a response that a client holds open ends in time, and not without a cause.

use super::{Lost, Rule, Scenario};

#[test]
fn held_response_must_end_after_revocation() {
    Scenario::new().held(10.1, Some(10.1)).passes();
    Scenario::new().held(10.49, None).passes();
    Scenario::new().held(10.51, None).breaks(Rule::HeldTooLong);
    // The reader has not recovered, so the bound counts.
    let cut = |last| Scenario::new().cut(8.0, 9.0).held(last, Some(last));
    cut(13.2).passes();
    cut(13.3).breaks(Rule::HeldTooLong);
    Scenario::new().lost(10.5, Lost::ByServer).cut(9.0, 11.0).held(20.0, None).passes();
}

#[test]
fn held_response_of_stopped_process_must_end_once_it_runs() {
    let stopped = |last| {
        let mut scenario = Scenario::new().cut(8.0, 15.0).held(last, Some(last));
        scenario.0.faults[0].suspends = true;
        scenario
    };
    stopped(15.2).passes();
    stopped(15.3).breaks(Rule::HeldTooLong);
}

#[test]
fn held_response_must_end_when_view_is_stale() {
    let severed = |last| {
        let mut scenario = Scenario::new().cut(8.5, 15.0).held(last, None);
        scenario.0.revocations.clear();
        scenario.0.faults[0].severs = true;
        scenario
    };
    severed(11.7).passes();
    severed(11.8).breaks(Rule::HeldTooLong);
    severed(15.1).breaks(Rule::HeldTooLong);
}

#[test]
fn held_response_must_not_end_without_cause() {
    Scenario::new().held(9.5, Some(9.5)).breaks(Rule::Unexplained);
    Scenario::new().held(9.95, Some(9.95)).passes();
    Scenario::new().cut(5.0, 12.0).held(9.5, Some(9.5)).passes();
    let mut ending = Scenario::new().held(9.5, Some(9.5));
    ending.0.readers[0].leaving = Some(super::at(9.4));
    ending.passes();
}
