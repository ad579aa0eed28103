//! The conditions that cut a running request.

use super::*;

#[test]
fn wakes_only_requests_on_the_revoked_anchor() {
    let anchors = [
        ("sid", "sid", AnchorKind::Sid),
        ("root_sid", "root", AnchorKind::RootSid),
        ("agent_session_id", "session", AnchorKind::AgentSession),
        ("delegation_edge_id", "edge", AnchorKind::Delegation),
        ("agent_session_id", "hop-session", AnchorKind::ChainSession),
        ("edge_id", "hop-edge", AnchorKind::ChainDelegation),
        ("edge_id", "path-edge", AnchorKind::ChainDelegation),
    ];
    for (field, id, kind) in anchors {
        let scene = Scene::new();
        let mut concerned = scene.start(&full_claims());
        let mut others: Vec<_> =
            (0..100).map(|n| scene.start(&claims(&format!("other-{n}")))).collect();
        scene.revoke(field, id);
        assert_eq!(concerned.reason(), Some("revoked"), "{id}");
        let Poll::Ready(cut) = concerned.poll() else { panic!("a cut is final") };
        assert_eq!(cut.anchor(), Some(kind));
        assert!(others.iter_mut().all(|other| other.reason().is_none()));
    }
}

#[test]
fn cuts_requests_on_an_authority_like_those_on_claims() {
    let scene = Scene::new();
    let authority = scene.revocations.authority(&full_claims());
    let own_only = Checks { chain: false, ..Checks::default() };
    let own_only = CutPolicy::new(scene.revocations.reader(), own_only);
    let own_only = Arc::new(own_only);
    let running = |scene: &Scene| {
        let authority = scene.revocations.authority(&full_claims());
        Waiting::new(Arc::new(scene.watch()).start_on(&authority))
    };
    for (anchor, id) in [("edge_id", "path-edge"), ("sid", "sid")] {
        let scene = Scene::new();
        let mut waiting = running(&scene);
        assert_eq!(waiting.reason(), None);
        scene.revoke(anchor, id);
        assert_eq!(waiting.reason(), Some("revoked"), "{id}");
    }
    let mut without_chain = Waiting::new(own_only.start_on(&authority));
    scene.revoke("edge_id", "hop-edge");
    assert_eq!(without_chain.reason(), None);
    scene.revoke("edge_id", "edge");
    assert_eq!(without_chain.reason(), Some("revoked"));

    let elsewhere = Arc::new(Scene::new().watch());
    let foreign = elsewhere.start_on(&authority);
    assert!(foreign.seen_cut().is_some(), "no search would find it");
}

#[test]
fn unchecked_chain_cuts_nothing() {
    let scene = Scene::new();
    let checks = Checks { chain: false, ..Checks::default() };
    let watch = Arc::new(CutPolicy::new(scene.revocations.reader(), checks));
    let mut waiting = Waiting::new(watch.start(&full_claims()));
    scene.revoke("edge_id", "hop-edge");
    assert_eq!(waiting.reason(), None);
}

#[test]
fn cuts_on_revocation_between_verdict_and_registration() {
    let scene = Scene::new();
    let running = Arc::new(scene.watch()).start(&full_claims());
    scene.revoke("sid", "sid");
    assert_eq!(running.seen_cut(), None, "not registered yet");
    let mut waiting = Waiting::new(running);
    let Poll::Ready(cut) = waiting.poll() else { panic!("the cut was missed") };
    assert_eq!(cut.label(), "revoked");
}

#[test]
fn suspension_cuts_and_resume_does_not_undo_it() {
    let outbox = |millis: u64| {
        format!("{:08x}-{:04x}-7000-8000-000000000000", millis >> 16, millis & 0xffff)
    };
    let deliver = |scene: &Scene, event: &str, millis: u64| {
        let outbox = outbox(millis);
        let key = format!("{event}:session:2026-11-23T02:13:20.000Z");
        let fields = [
            ("event", event),
            ("zone_id", "z"),
            ("agent_session_id", "session"),
            ("outbox_id", &outbox),
            ("dedupe_key", &key),
        ];
        scene.apply(Stream::AgentsLifecycle, &fields);
    };
    let scene = Scene::new();
    let mut waiting = scene.start(&full_claims());
    deliver(&scene, "suspend", 1_795_400_000_000);
    assert_eq!(waiting.reason(), Some("suspended"));
    deliver(&scene, "resume", 1_795_400_010_000);
    assert!(waiting.poll().is_ready(), "a cut is final");
}

#[test]
fn higher_epoch_cuts_requests_below_it_in_its_zone() {
    let scene = Scene::new();
    let (mut below, mut at, mut without) =
        (scene.delegated(false, 6), scene.delegated(false, 7), scene.delegated(false, 0));
    let mut lenient = scene.delegated(true, 6);
    let mut unchecked = {
        let mut claims = claims("ar-1");
        (claims.zone_id, claims.delegation_graph_epoch) = (Some("z".into()), 1);
        scene.start(&claims)
    };
    scene.epoch("edge_create", "7");
    assert_eq!(below.reason(), Some("delegation_stale"));
    assert_eq!(lenient.reason(), None, "a creation does not cut this route");
    scene.epoch("edge_revoke", "7");
    assert_eq!(lenient.reason(), Some("delegation_stale"));
    for waiting in [&mut at, &mut without, &mut unchecked] {
        assert_eq!(waiting.reason(), None);
    }
}

#[test]
fn horizon_cuts_older_tokens_even_while_state_is_stale() {
    let scene = Scene::new();
    let (mut old, mut new) = (full_claims(), full_claims());
    (old.iat, new.iat) = (START, START + 2);
    let (mut old, mut new) = (scene.start(&old), scene.start(&new));
    scene.clock.advance(Duration::from_secs(600));
    scene.revocations.raise_horizon(START + 1);
    assert_eq!(old.reason(), Some("history_incomplete"));
    assert_eq!(new.reason(), None);
}

#[test]
fn repeated_messages_search_no_running_requests() {
    let scene = Scene::new();
    let mut other = scene.start(&claims("ar-other"));
    let searches = || scene.revocations.state().running.searches.load(Ordering::Relaxed);
    let at = |event, time| {
        let key = format!("{event}:session:2026-11-20T10:00:0{time}.000Z");
        let id = format!("0198b0c2-7d1{time}-7a11-8f00-000000000001");
        let fields = [("event", event), ("agent_session_id", "session"), ("zone_id", "z")];
        let fields = [&fields[..], &[("dedupe_key", &*key), ("outbox_id", &*id)]].concat();
        scene.apply(Stream::AgentsLifecycle, &fields);
    };
    let steps: [&dyn Fn(); 7] = [
        &|| scene.revocations.cover_recut(START - 100),
        &|| scene.revocations.raise_horizon(START - 90),
        &|| scene.revoke("sid", "ar-1"),
        &|| scene.epoch("edge_create", "7"),
        &|| scene.epoch("edge_revoke", "7"),
        &|| at("suspend", 1),
        &|| at("resume", 2),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let before = searches();
        step();
        let first = searches();
        assert!(first > before, "step {number} changes something");
        for _ in 0..100 {
            step();
            scene.revocations.cover_recut(START - 100);
        }
        assert_eq!(searches(), first, "step {number}");
    }
    assert_eq!(other.reason(), None);
}

#[test]
fn cleared_horizon_cuts_again_when_raised() {
    let scene = Scene::new();
    let revocations = &scene.revocations;
    revocations.cover_recut(START);
    assert!(revocations.clear_horizon(revocations.losses()));
    let mut decidable = claims("ar-1");
    (decidable.iat, decidable.token_use) = (START, Some("resource".into()));
    let mut running = scene.start(&decidable);
    assert_eq!(running.reason(), None);
    revocations.cover_recut(START);
    assert_eq!(running.reason(), Some("history_incomplete"));
}

#[test]
fn cleared_horizon_still_cuts_tokens_that_no_baseline_decides() {
    let scene = Scene::new();
    scene.revocations.raise_horizon(START);
    assert!(scene.revocations.clear_horizon(scene.revocations.losses()));
    let watch = Arc::new(scene.watch());
    let label = |claims: &Claims| watch.start(claims).cut().map(Cut::label);
    let mut decidable = claims("ar-1");
    decidable.token_use = Some("resource".into());
    assert_eq!(label(&decidable), None);
    assert_eq!(label(&claims("ar-1")), Some("history_incomplete"));
}

#[test]
fn exp_cuts_after_its_grace() {
    let scene = Scene::new();
    let mut claims = claims("ar-1");
    claims.exp = START + 100;
    let default = Waiting::new(Arc::new(scene.watch()).start(&claims));
    let strict = Arc::new(scene.watch().with_exp_grace(Duration::ZERO)).start(&claims);
    let (mut default, mut strict) = (default, Waiting::new(strict));
    let overdue = || scene.revocations.cut_overdue(scene.revocations.now());
    scene.clock.advance(Duration::from_secs(99));
    assert_eq!(overdue(), Some(Duration::from_secs(1)));
    assert_eq!((strict.reason(), default.reason()), (None, None));
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(overdue(), Some(Duration::from_secs(60)));
    assert_eq!((strict.reason(), default.reason()), (Some("expired"), None));
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(overdue(), None, "a cut request is no longer awaited");
    assert_eq!(default.reason(), Some("expired"));
}

#[test]
fn timekeeper_thread_cuts_expired_requests() {
    let scene = Scene::new();
    let mut claims = claims("ar-1");
    claims.exp = START + 100;
    let mut waiting = scene.start(&claims);
    scene.clock.advance(Duration::from_secs(160));
    // Waits at least as long as the timekeeper's longest sleep, by the real clock.
    for _ in 0..600 {
        if waiting.woken() > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(waiting.reason(), Some("expired"));
}

#[test]
fn unknown_state_cuts_only_configured_routes_beyond_the_bound() {
    let scene = Scene::new();
    let mut enabled =
        Waiting::new(Arc::new(scene.watch().cut_when_unknown()).start(&full_claims()));
    let mut disabled = scene.start(&full_claims());
    let checks = Checks { deny_after: Some(Duration::from_secs(5)), ..Checks::default() };
    let tight = CutPolicy::new(scene.revocations.reader(), checks).cut_when_unknown();
    let mut tight = Waiting::new(Arc::new(tight).start(&full_claims()));
    let overdue = || scene.revocations.cut_overdue(scene.revocations.now());
    scene.clock.advance(Duration::from_secs(4));
    assert_eq!(overdue(), Some(Duration::from_secs(1)));
    scene.clock.advance(Duration::from_secs(2));
    overdue();
    assert_eq!((tight.reason(), enabled.reason()), (Some("unknown"), None));
    // A proof restarts the time.
    scene.revocations.confirm(scene.revocations.now());
    scene.clock.advance(Duration::from_secs(60));
    overdue();
    assert_eq!(enabled.reason(), None, "exactly at the bound it is still known");
    scene.clock.advance(Duration::from_millis(1));
    overdue();
    assert_eq!((enabled.reason(), disabled.reason()), (Some("unknown"), None));
    let checks = Checks { fail_open_unknown: true, ..Checks::default() };
    let open = CutPolicy::new(scene.revocations.reader(), checks).cut_when_unknown();
    let mut open = Waiting::new(Arc::new(open).start(&full_claims()));
    overdue();
    assert_eq!(open.reason(), None);
    let Poll::Ready(Cut::Unknown(UnknownCause::Stale { bound, .. })) = enabled.poll() else {
        panic!("the cut has no staleness");
    };
    assert_eq!(bound, Duration::from_secs(60));
}

#[test]
fn request_that_a_new_proof_saved_is_awaited_again() {
    let scene = Scene::new();
    let watch = Arc::new(scene.watch().cut_when_unknown());
    let mut waiting = Waiting::new(watch.start(&full_claims()));
    let registry = &scene.revocations.state().running;
    // A search finds the request, and the proof arrives before the request is checked.
    let overdue = registry.take_overdue(UnixSeconds::new(START), None);
    assert_eq!((overdue.len(), registry.next().1), (1, None));
    overdue.iter().for_each(|request| registry.await_again(request));
    scene.clock.advance(Duration::from_secs(61));
    scene.revocations.cut_overdue(scene.revocations.now());
    assert_eq!(waiting.reason(), Some("unknown"));
}

#[test]
fn keys_and_policies_cut_nothing() {
    let scene = Scene::new();
    let mut claims = full_claims();
    claims.zone_id = Some("z".into());
    let mut waiting = scene.start(&claims);
    scene.apply(Stream::KeysInvalidate, &[("zone_id", "z")]);
    scene.apply(Stream::PolicyInvalidate, &[("zone_id", "z")]);
    scene.revocations.forget_all_keys();
    scene.revocations.reload_all_policies();
    assert_eq!(waiting.reason(), None);
}

/// Creates a state whose index is full with one revocation.
fn full_scene() -> Scene {
    let clock = Arc::new(ManualClock::new());
    let options = Options { max_entries: 1, ..Options::default() };
    let revocations = RevocationsWriter::with_clock(options, clock.clone());
    revocations.confirm(revocations.now());
    let scene = Scene { clock, revocations: Arc::new(revocations) };
    scene.revoke("sid", "ar-0");
    scene
}

#[test]
fn full_index_cuts_revoked_requests_and_others_at_reopening() {
    let scene = full_scene();
    let (revoked, suspended) = (claims("ar-1"), claims("ar-2"));
    let mut other = claims("ar-3");
    other.exp = i64::MAX;
    let [mut revoked, mut suspended, mut other] =
        [revoked, suspended, other].map(|claims| scene.start(&claims));
    scene.revoke("sid", "ar-1");
    let suspension = [
        ("event", "suspend"),
        ("zone_id", "z"),
        ("agent_session_id", "ar-2"),
        ("outbox_id", "01a2062d-e200-7000-8000-000000000000"),
        ("dedupe_key", "suspend:ar-2:2026-11-23T02:13:20.000Z"),
    ];
    scene.apply(Stream::AgentsLifecycle, &suspension);
    assert!(scene.revocations.is_full());
    assert_eq!(revoked.reason(), Some("revoked"));
    assert_eq!(suspended.reason(), Some("suspended"));
    assert_eq!(other.reason(), None);
    // Admitted before the state was full, and waiting only now.
    let late = Arc::new(scene.watch()).start(&claims("ar-4"));
    assert_eq!(late.cut().map(Cut::label), Some("unknown"));

    scene.clock.advance(scene.revocations.options().memory + Duration::from_secs(120));
    scene.revocations.sweep(scene.revocations.now());
    assert_eq!(other.reason(), None);
    assert!(scene.revocations.reopen(START + 5));
    assert_eq!(other.reason(), Some("history_incomplete"));
}
