//! Tests of each rule with histories that keep it and histories that break it.

mod bound;
mod held;
mod outages;
mod reasons;
mod services;
mod unproven;

use std::time::Duration;

use super::{Rule, check};
use crate::history::{
    Answer, Class, GapScope, Held, History, Injected, Late, Loss, Lost, Minimum, Probe, Promise,
    ReaderLife, Request, Resumed, Revocation, Route, Scope, Token,
};
use crate::setup::Setup;
use crate::time::At;

const UNIX_START: i64 = 1_795_000_000;

/// A history of one reader that starts at 0 s, with a bound of 3 s. Token 0 is never revoked, token
/// 1 is revoked at 10 s.
struct Scenario(History);

fn at(seconds: f64) -> At {
    At((seconds * 1e6) as u64)
}

impl Scenario {
    fn new() -> Self {
        let life = ReaderLife {
            reader: 0,
            pid: 1,
            recalled: None,
            keys: vec![0],
            unproven_until: at(0.0),
            started: at(0.0),
            leaving: None,
            ended: None,
            died: false,
        };
        let revocation = Revocation {
            token: 1,
            what: "Sessions(Session)".to_owned(),
            attempted: at(9.9),
            acked: Some(at(10.0)),
            id: Some("1795000010000-0".to_owned()),
            key: 0,
            hidden: false,
            loss: None,
        };
        let token = Token { iat: UNIX_START, class: Class::Plain, resumed: None };
        Self(History {
            seed: 0,
            setup: Setup::Pair,
            promise: Promise {
                strict: false,
                reload: None,
                bound: Duration::from_secs(3),
                recovery: Duration::from_secs(2),
                margin: Duration::from_secs(5),
                minimum: Minimum { seconds: 0, faults: 0, revocations: 0, requests: 0 },
            },
            unix_start: UNIX_START as u64 * 1_000_000,
            readers: vec![life],
            tokens: vec![token; 2],
            revocations: vec![revocation],
            faults: Vec::new(),
            requests: Vec::new(),
            probes: Vec::new(),
            held: Vec::new(),
            lateness: Vec::new(),
        })
    }

    /// Adds a request that was sent at this time and answered 10 ms later.
    fn requested(mut self, seconds: f64, token: usize, answer: Answer) -> Self {
        let (sent, received) = (at(seconds), at(seconds + 0.01));
        let life = self.0.readers.len() - 1;
        self.0.requests.push(Request {
            life,
            route: Route::Gateway,
            token,
            sent,
            received,
            answer,
        });
        self
    }

    /// Adds a response that was held open from 8 s on, with its last part at this time.
    fn held(mut self, last: f64, ended: Option<f64>) -> Self {
        let life = self.0.readers.len() - 1;
        let ended = ended.map(at);
        self.0.held.push(Held { life, token: 1, sent: at(8.0), last: at(last), ended });
        self
    }

    /// Sends the last request to this service.
    fn to(mut self, route: Route) -> Self {
        self.0.requests.last_mut().unwrap().route = route;
        self
    }

    /// Adds a probe that was sent at this time and answered 10 ms later.
    fn probed(mut self, seconds: f64, unready: Option<&str>) -> Self {
        let (sent, received) = (at(seconds), at(seconds + 0.01));
        let life = self.0.readers.len() - 1;
        let unready = unready.map(ToOwned::to_owned);
        self.0.probes.push(Probe { life, sent, received, unready });
        self
    }

    /// Sets the time until which nothing proves the view of the last process.
    fn unproven_until(mut self, seconds: f64) -> Self {
        self.0.readers.last_mut().unwrap().unproven_until = at(seconds);
        self
    }

    /// Sets the keys that the last process accepts.
    fn accepting(mut self, keys: &[usize]) -> Self {
        self.0.readers.last_mut().unwrap().keys = keys.to_vec();
        self
    }

    /// Sets the key that signed the revocation.
    fn signed_with(mut self, key: usize) -> Self {
        self.0.revocations[0].key = key;
        self
    }

    /// Adds forged messages at this time.
    fn forged(self, seconds: f64) -> Self {
        let mut scenario = self.fault(seconds, seconds, false, GapScope::Nobody);
        scenario.0.faults.last_mut().unwrap().forges = true;
        scenario
    }

    /// Cuts the reader off from Redis.
    fn cut(self, began: f64, ended: f64) -> Self {
        self.fault(began, ended, true, GapScope::Nobody)
    }

    fn fault(mut self, began: f64, ended: f64, disturbs: bool, gap: GapScope) -> Self {
        self.0.faults.push(Injected {
            kind: "test".to_owned(),
            what: "test".to_owned(),
            scope: Scope::Everyone,
            began: at(began),
            ended: at(ended),
            disturbs,
            gap,
            ids_ahead: false,
            wipes: false,
            forges: false,
            enlarges: false,
            suspends: false,
            recuts: false,
            takes_over: false,
            steps_clock: false,
            severs: false,
            slow_until: None,
            effect: Some("seen".to_owned()),
        });
        self
    }

    fn lost(mut self, seconds: f64, how: Lost) -> Self {
        let untraced = (how == Lost::Wiped).then_some(at(seconds));
        self.0.revocations[0].loss = Some(Loss { at: at(seconds), how, untraced });
        self
    }

    fn restarted(mut self, seconds: f64) -> Self {
        let last = self.0.readers.last_mut().unwrap();
        last.ended = Some(at(seconds));
        let (pid, started) = (last.pid + 1, at(seconds));
        let life = ReaderLife { pid, recalled: None, started, ended: None, ..last.clone() };
        self.0.readers.push(life);
        self
    }

    fn strict(mut self) -> Self {
        self.0.promise.strict = true;
        self
    }

    /// Gives the readers a baseline, which they read within a second.
    fn baseline(mut self) -> Self {
        self.0.promise.reload = Some(Duration::from_secs(1));
        self
    }

    /// Starts the last process with a snapshot of this time.
    fn recalled(mut self, seconds: f64) -> Self {
        self.0.readers.last_mut().unwrap().recalled = Some(at(seconds));
        self
    }

    fn late(mut self, seconds: f64, by_ms: u64) -> Self {
        self.0.lateness.push(Late { at: at(seconds), by: Duration::from_millis(by_ms) });
        self
    }

    #[track_caller]
    fn passes(&self) {
        let verdict = check(&self.0);
        assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    }

    #[track_caller]
    fn breaks(&self, rule: Rule) {
        let rules: Vec<_> = check(&self.0).violations.iter().map(|broken| broken.rule).collect();
        assert_eq!(rules, [rule]);
    }

    /// Asserts that the history breaks this rule, and possibly others.
    #[track_caller]
    fn breaks_also(&self, rule: Rule) {
        let verdict = check(&self.0);
        assert!(verdict.violations.iter().any(|broken| broken.rule == rule));
    }
}

#[test]
fn rejects_schedule_with_too_little_content() {
    let mut scenario = Scenario::new().requested(5.0, 0, Answer::Admitted);
    scenario.passes();
    scenario.0.promise.minimum = Minimum { seconds: 5, faults: 0, revocations: 1, requests: 1 };
    scenario.passes();
    for minimum in [
        Minimum { seconds: 6, faults: 0, revocations: 0, requests: 0 },
        Minimum { seconds: 0, faults: 1, revocations: 0, requests: 0 },
        Minimum { seconds: 0, faults: 0, revocations: 2, requests: 0 },
        Minimum { seconds: 0, faults: 0, revocations: 0, requests: 2 },
    ] {
        scenario.0.promise.minimum = minimum;
        scenario.breaks(Rule::TooLittle);
    }
}

#[test]
fn fault_without_effect_does_not_count() {
    let mut scenario = Scenario::new().requested(5.0, 0, Answer::Admitted).cut(1.0, 2.0);
    scenario.0.promise.minimum = Minimum { seconds: 0, faults: 1, revocations: 0, requests: 0 };
    scenario.passes();
    scenario.0.faults[0].effect = None;
    scenario.breaks(Rule::TooLittle);
}

#[test]
fn reports_reader_that_ended_by_itself() {
    let mut scenario = Scenario::new();
    scenario.0.readers[0].died = true;
    scenario.breaks(Rule::ReaderDied);
}

#[test]
fn history_round_trips_through_its_file() {
    let scenario = Scenario::new().cut(1.0, 2.0).requested(15.0, 1, Answer::Admitted);
    let text = serde_json::to_string(&scenario.0).unwrap();
    Scenario(serde_json::from_str(&text).unwrap()).breaks(Rule::BeyondBound);
}
