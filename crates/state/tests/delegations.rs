//! The zone's delegation graph epoch, ended delegations, and the checks that can be turned off.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::SystemTime;

use caracal_revocation_event::{DelegationEvent, KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{
    AnchorKind, BaselineFact, Checks, Claims, DenyReason, Hop, ManualClock, Options, Revocations,
    RevocationsWriter, Verdict,
};

const ZONE: &str = "z-1";

/// Start time of a [`ManualClock`].
const NOW: i64 = 1_795_400_000;

fn new() -> RevocationsWriter {
    RevocationsWriter::with_clock(Options::default(), Arc::new(ManualClock::new()))
}

fn fresh() -> RevocationsWriter {
    let revocations = new();
    revocations.confirm(revocations.now());
    revocations
}

fn apply(revocations: &RevocationsWriter, builder: MessageBuilder) {
    let stream = builder.stream();
    let fields = builder.into_fields(None, SystemTime::now());
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let message = Message::new(stream, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
    revocations.apply(&event, revocations.now());
}

fn claims(epoch: u64) -> Claims {
    let mut claims = Claims::new("ar-1", NOW, NOW + 900);
    claims.zone_id = Some(ZONE.into());
    claims.delegation_graph_epoch = epoch;
    claims
}

fn denial(
    revocations: &Revocations,
    claims: &Claims,
    checks: &Checks,
) -> Option<(DenyReason, Option<AnchorKind>)> {
    let now = revocations.now();
    let verdict = revocations.decide(claims, checks, now);
    assert_eq!(revocations.authority(claims).decide(checks, now), verdict);
    match verdict {
        Verdict::Denied(denial) => Some((denial.reason(), denial.anchor())),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(unknown) => panic!("{unknown:?}"),
    }
}

fn with_epoch() -> Checks {
    let mut checks = Checks::default();
    checks.delegation_epoch = true;
    checks
}

const STALE: Option<(DenyReason, Option<AnchorKind>)> = Some((DenyReason::DelegationStale, None));

#[test]
fn token_of_an_earlier_epoch_is_stale() {
    let revocations = fresh();
    apply(&revocations, MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-1"], 7));
    apply(&revocations, MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-0"], 5));
    let checks = with_epoch();
    assert_eq!(denial(&revocations, &claims(6), &checks), STALE);
    assert_eq!(denial(&revocations, &claims(7), &checks), None);
    assert_eq!(denial(&revocations, &claims(8), &checks), None);
    assert_eq!(denial(&revocations, &claims(0), &checks), None);
    assert_eq!(denial(&revocations, &claims(6), &Checks::default()), None, "the check is off");
}

#[test]
fn ended_only_option_ignores_created_delegations() {
    let revocations = fresh();
    let mut checks = with_epoch();
    checks.ended_delegations_only = true;
    apply(&revocations, MessageBuilder::delegation(ZONE, DelegationEvent::Create, &["de-1"], 9));
    assert_eq!(denial(&revocations, &claims(6), &checks), None);
    for (event, epoch) in [(DelegationEvent::Revoke, 7), (DelegationEvent::Expire, 8)] {
        apply(&revocations, MessageBuilder::delegation(ZONE, event, &["de-2"], epoch));
        assert_eq!(denial(&revocations, &claims(epoch - 1), &checks), STALE);
        assert_eq!(denial(&revocations, &claims(epoch), &checks), None);
    }
}

#[test]
fn ended_edge_is_revoked_in_every_hop() {
    let revocations = fresh();
    apply(&revocations, MessageBuilder::delegation(ZONE, DelegationEvent::Revoke, &["de-1"], 1));
    apply(
        &revocations,
        MessageBuilder::delegation(ZONE, DelegationEvent::Expire, &["de-2", "de-3"], 2),
    );
    for edge in ["de-1", "de-2", "de-3"] {
        let revoked = |kind| Some((DenyReason::Revoked, Some(kind)));
        let mut own = claims(0);
        own.delegation_edge_id = Some(edge.into());
        let own_kind = revoked(AnchorKind::Delegation);
        assert_eq!(denial(&revocations, &own, &Checks::default()), own_kind);
        let mut chain = claims(0);
        chain.delegation_chain = vec![Hop::new(None, None), Hop::new(None, Some(edge.into()))];
        let mut path = claims(0);
        path.delegation_path = vec!["de-9".into(), edge.into()];
        for hops in [chain, path] {
            let kind = revoked(AnchorKind::ChainDelegation);
            assert_eq!(denial(&revocations, &hops, &Checks::default()), kind);
            let mut checks = Checks::default();
            checks.chain = false;
            assert_eq!(denial(&revocations, &hops, &checks), None);
        }
    }
}

#[test]
fn horizon_check_can_be_turned_off() {
    let revocations = fresh();
    revocations.raise_horizon(NOW);
    let incomplete = Some((DenyReason::HistoryIncomplete, None));
    assert_eq!(denial(&revocations, &claims(0), &Checks::default()), incomplete);
    let mut checks = Checks::default();
    checks.horizon = false;
    assert_eq!(denial(&revocations, &claims(0), &checks), None);
}

/// Returns claims with a different id in each place that can hold an anchor.
fn everywhere() -> Claims {
    let mut claims = claims(0);
    claims.sid = "sid".into();
    claims.root_sid = Some("root".into());
    claims.agent_session_id = Some("agent".into());
    claims.delegation_edge_id = Some("edge".into());
    claims.delegation_chain = ["1", "2", "3"]
        .map(|n| Hop::new(Some(format!("agent-{n}").into()), Some(format!("edge-{n}").into())))
        .into();
    claims.delegation_path = vec!["path-1".into(), "path-2".into()];
    claims
}

#[test]
fn finds_revoked_id_in_each_place() {
    let claims = everywhere();
    let places: Vec<_> = claims.anchors(true).map(|(kind, id)| (kind, id.to_owned())).collect();
    assert_eq!(places.len(), 12);
    for (kind, id) in places {
        let revocations = fresh();
        assert_eq!(denial(&revocations, &claims, &Checks::default()), None);
        revocations.add(&BaselineFact::Revoked(&id), revocations.now());
        let found = denial(&revocations, &claims, &Checks::default());
        assert_eq!(found, Some((DenyReason::Revoked, Some(kind))), "{id}");
    }
}

#[test]
fn cached_authority_is_rechecked_after_new_revocations() {
    let claims = everywhere();
    let (all, mut own_only) = (Checks::default(), Checks::default());
    own_only.chain = false;
    for (kind, id) in claims.anchors(true) {
        let revocations = fresh();
        let authority = revocations.authority(&claims);
        let denial = |checks| match authority.decide(checks, revocations.now()) {
            Verdict::Denied(denial) => denial.anchor(),
            _ => None,
        };
        revocations.add(&BaselineFact::Revoked("somebody-else"), revocations.now());
        assert_eq!([&own_only, &all].map(denial), [None; 2]);
        revocations.add(&BaselineFact::Revoked(id), revocations.now());
        let is_own = !matches!(kind, AnchorKind::ChainSession | AnchorKind::ChainDelegation);
        // Twice: an anchor that was not checked must not be cached as clean.
        for _ in 0..2 {
            assert_eq!(denial(&own_only), is_own.then_some(kind), "{id}");
            assert_eq!(denial(&all), Some(kind), "{id}");
        }
    }
}

#[test]
fn revocation_outweighs_suspension_of_another_anchor() {
    let revocations = fresh();
    let occurred = OccurredAt::parse("2026-11-23T02:13:20.000Z").unwrap();
    let known = BaselineFact::Suspended { session: "agent", occurred, decided: None };
    revocations.add(&known, revocations.now());
    let found = |claims: &Claims| denial(&revocations, claims, &Checks::default());
    let (claims, agent) = (everywhere(), Some(AnchorKind::AgentSession));
    assert_eq!(found(&claims), Some((DenyReason::Suspended, agent)));
    revocations.add(&BaselineFact::Revoked("path-2"), revocations.now());
    assert_eq!(found(&claims), Some((DenyReason::Revoked, Some(AnchorKind::ChainDelegation))));
}

#[test]
fn outage_hides_no_stale_delegation() {
    let revocations = new();
    apply(&revocations, MessageBuilder::delegation(ZONE, DelegationEvent::Revoke, &["de-1"], 2));
    assert_eq!(denial(&revocations, &claims(1), &with_epoch()), STALE);
}
