//! The state compared with a slow, simple model: any events, in any order, any kind of token.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use caracal_revocation_event::{DelegationEvent, KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{
    Checks, Claims, DenyReason, Hop, ManualClock, Options, RevocationsWriter, Verdict,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

/// Few ids, so that events and tokens share them.
fn id() -> impl Strategy<Value = String> {
    (0..12_u8).prop_map(|n| format!("id-{n}"))
}

#[derive(Clone, Debug)]
enum Step {
    Revoke { session: String, agent: Option<String>, edge: Option<String> },
    Terminate(String),
    Suspend(String, u32),
    Resume(String, u32),
    Delegation { ends: bool, edges: Vec<String>, epoch: u64 },
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (id(), option::of(id()), option::of(id()))
            .prop_map(|(session, agent, edge)| Step::Revoke { session, agent, edge }),
        1 => id().prop_map(Step::Terminate),
        2 => (id(), 0..50_u32).prop_map(|(id, at)| Step::Suspend(id, at)),
        2 => (id(), 0..50_u32).prop_map(|(id, at)| Step::Resume(id, at)),
        2 => (any::<bool>(), vec(id(), 0..3), 0..9_u64)
            .prop_map(|(ends, edges, epoch)| Step::Delegation { ends, edges, epoch }),
        2 => (0..20_u64).prop_map(|hours| Step::Wait(Duration::from_secs(hours * 3_600))),
    ]
}

prop_compose! {
    fn token()(
        sid in id(),
        root_sid in option::of(id()),
        agent in option::of(id()),
        edge in option::of(id()),
        chain in vec((option::of(id()), option::of(id())), 0..3),
        path in vec(id(), 0..3),
        epoch in 0..9_u64,
        iat in 0..60_i64,
    ) -> Claims {
        let owned = |id: Option<String>| id.map(String::into_boxed_str);
        let mut claims = Claims::new(&sid, BASE + iat, BASE + iat + 900);
        claims.root_sid = owned(root_sid);
        claims.agent_session_id = owned(agent);
        claims.delegation_edge_id = owned(edge);
        claims.delegation_chain =
            chain.into_iter().map(|(agent, edge)| Hop::new(owned(agent), owned(edge))).collect();
        claims.delegation_path = path.into_iter().map(String::into_boxed_str).collect();
        claims.delegation_graph_epoch = epoch;
        claims.zone_id = Some("z".into());
        claims
    }
}

/// 2026-11-20T10:00:00Z, in seconds.
const BASE: i64 = 1_795_168_800;

fn occurred(second: u32) -> OccurredAt {
    OccurredAt::parse(&format!("2026-11-20T10:00:{second:02}.000Z")).unwrap()
}

/// All events, kept unchanged.
#[derive(Default)]
struct Model {
    /// The time at which an id was last revoked.
    revoked: HashMap<String, Duration>,
    suspended: HashMap<String, Vec<u32>>,
    resumed: HashMap<String, Vec<u32>>,
    /// The time of the last suspension or resume of an id.
    suspension_changed: HashMap<String, Duration>,
    epoch: u64,
}

impl Model {
    fn apply(&mut self, step: &Step, now: Duration) {
        match step {
            Step::Revoke { session, agent, edge } => {
                for id in [Some(session), agent.as_ref(), edge.as_ref()].into_iter().flatten() {
                    self.revoked.insert(id.clone(), now);
                }
            }
            Step::Terminate(id) => {
                self.revoked.insert(id.clone(), now);
            }
            Step::Suspend(id, at) => {
                self.suspended.entry(id.clone()).or_default().push(*at);
                self.suspension_changed.insert(id.clone(), now);
            }
            Step::Resume(id, at) => {
                self.resumed.entry(id.clone()).or_default().push(*at);
                self.suspension_changed.insert(id.clone(), now);
            }
            Step::Delegation { ends, edges, epoch } => {
                self.epoch = self.epoch.max(*epoch);
                for edge in edges.iter().filter(|_| *ends) {
                    self.revoked.insert(edge.clone(), now);
                }
            }
            Step::Wait(_) => {}
        }
    }

    /// Removes entries 24 hours after their last event.
    fn forget(&mut self, now: Duration) {
        let old = |at: &Duration| now - *at > Duration::from_secs(24 * 3_600 + 60);
        self.revoked.retain(|_, at| !old(at));
        let gone: HashSet<_> = self
            .suspension_changed
            .iter()
            .filter(|(_, at)| old(at))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.suspension_changed.remove(&id);
            self.suspended.remove(&id);
            self.resumed.remove(&id);
        }
    }

    fn denies(&self, claims: &Claims, with_epoch: bool) -> Option<DenyReason> {
        let mut ids: Vec<&str> = vec![&claims.sid];
        for id in [&claims.root_sid, &claims.agent_session_id, &claims.delegation_edge_id] {
            ids.extend(id.as_deref());
        }
        for hop in &claims.delegation_chain {
            ids.extend(hop.agent_session_id.as_deref());
            ids.extend(hop.delegation_edge_id.as_deref());
        }
        ids.extend(claims.delegation_path.iter().map(|id| &**id));
        if ids.iter().any(|id| self.revoked.contains_key(*id)) {
            return Some(DenyReason::Revoked);
        }
        if ids.iter().any(|id| self.suspension_denies(id, claims.iat)) {
            return Some(DenyReason::Suspended);
        }
        let epoch = claims.delegation_graph_epoch;
        (with_epoch && epoch > 0 && self.epoch > epoch).then_some(DenyReason::DelegationStale)
    }

    fn suspension_denies(&self, id: &str, iat: i64) -> bool {
        let none = Vec::new();
        let suspended = self.suspended.get(id).unwrap_or(&none);
        let resumed = self.resumed.get(id).unwrap_or(&none);
        suspended.iter().any(|suspension| {
            let lifted = resumed.iter().any(|resume| resume > suspension);
            let up_to = BASE + i64::from(*suspension) + 1;
            !lifted || iat <= up_to
        })
    }
}

/// Returns the message for a step and the time of its decision. That time orders suspensions as
/// their occurrence does; `suspensions.rs` covers the other cases.
fn message(step: &Step) -> Option<(MessageBuilder, u64)> {
    let decided = |second: &u32| 1_795_168_800_000 + u64::from(*second) * 1_000;
    Some(match step {
        Step::Revoke { session, agent, edge } => {
            let mut message = MessageBuilder::revoke("z", "x").session(session);
            if let Some(agent) = agent {
                message = message.agent_session(agent);
            }
            if let Some(edge) = edge {
                message = message.delegation_edge(edge);
            }
            (message, 0)
        }
        Step::Terminate(id) => (MessageBuilder::terminate("z", id), 0),
        Step::Suspend(id, at) => (MessageBuilder::suspend("z", id, occurred(*at)), decided(at)),
        Step::Resume(id, at) => (MessageBuilder::resume("z", id, occurred(*at)), decided(at)),
        Step::Delegation { ends, edges, epoch } => {
            let event = if *ends { DelegationEvent::Expire } else { DelegationEvent::Create };
            let edges: Vec<_> = edges.iter().map(String::as_str).collect();
            (MessageBuilder::delegation("z", event, &edges, *epoch), 0)
        }
        Step::Wait(_) => return None,
    })
}

fn apply(revocations: &RevocationsWriter, step: &Step) {
    let Some((message, decided)) = message(step) else { return };
    let stream = message.stream();
    let decided = std::time::UNIX_EPOCH + Duration::from_millis(decided);
    let fields = message.into_fields(None, decided);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let event = KeyRing::insecure_accept_unsigned().verify(&Message::new(stream, &fields)).unwrap();
    revocations.apply(&event, revocations.now());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..Default::default() })]

    /// Runs 250 cases of 40 events and tokens each: about 10,000 verdicts.
    #[test]
    fn every_verdict_matches_the_simple_model(
        steps in vec((step(), token(), any::<bool>()), 40),
    ) {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        let (mut model, mut kept) = (Model::default(), Vec::new());
        let mut elapsed = Duration::ZERO;
        for (step, claims, with_epoch) in steps {
            if let Step::Wait(by) = step {
                clock.advance(by);
                elapsed += by;
            }
            // Apply it twice, as at-least-once delivery may.
            apply(&revocations, &step);
            apply(&revocations, &step);
            model.apply(&step, elapsed);
            revocations.sweep(revocations.now());
            model.forget(elapsed);
            revocations.confirm(revocations.now());

            let mut checks = Checks::default();
            checks.delegation_epoch = with_epoch;
            // Days pass in this test.
            checks.lifetime = false;
            let now = revocations.now();
            let verdict = revocations.decide(&claims, &checks, now);
            // Keep the authorities of earlier steps too: they cache what they found then.
            kept.push((revocations.authority(&claims), claims.clone()));
            for (authority, claims) in &kept {
                for chain in [false, true] {
                    checks.chain = chain;
                    let verdict = revocations.decide(claims, &checks, now);
                    prop_assert_eq!(authority.decide(&checks, now), verdict, "{:?}", claims);
                }
            }
            let denied = match verdict {
                Verdict::Admitted(_) => None,
                Verdict::Denied(denial) => Some(denial.reason()),
                Verdict::Unknown(why) => panic!("nothing is unknown here: {why:?}"),
            };
            prop_assert_eq!(denied, model.denies(&claims, with_epoch), "{:?}", claims);
        }
    }
}
