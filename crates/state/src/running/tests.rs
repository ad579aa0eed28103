use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use caracal_revocation_event::{KeyRing, Message, Stream};

use super::{Cut, CutPoint, CutPolicy, RequestCancellation, RevokedSignal};
use crate::clock::UnixSeconds;
use crate::{
    AnchorKind, BaselineFact, Checks, Claims, Clock, DenyReason, Hop, ManualClock, Moment, Options,
    RevocationsWriter, UnknownCause,
};

struct Scene {
    clock: Arc<ManualClock>,
    revocations: Arc<RevocationsWriter>,
}

/// Second 0 of the manual clock.
const START: i64 = 1_795_400_000;

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        revocations.confirm(revocations.now());
        Self { clock, revocations: Arc::new(revocations) }
    }

    fn apply(&self, stream: Stream, fields: &[(&str, &str)]) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let event = KeyRing::insecure_accept_unsigned()
            .verify(&Message::new(stream, &fields))
            .expect("a message");
        self.revocations.apply(&event, self.revocations.now());
    }

    fn revoke(&self, anchor: &str, id: &str) {
        self.apply(Stream::SessionsRevoke, &[(anchor, id), ("zone_id", "z")]);
    }

    fn watch(&self) -> CutPolicy {
        CutPolicy::new(self.revocations.reader(), Checks::default())
    }

    fn start(&self, claims: &Claims) -> Waiting {
        Waiting::new(Arc::new(self.watch()).start(claims))
    }

    fn delegated(&self, ended_only: bool, epoch: u64) -> Waiting {
        let checks = Checks {
            delegation_epoch: true,
            ended_delegations_only: ended_only,
            ..Checks::default()
        };
        let mut claims = claims("ar-1");
        (claims.zone_id, claims.delegation_graph_epoch) = (Some("z".into()), epoch);
        Waiting::new(Arc::new(CutPolicy::new(self.revocations.reader(), checks)).start(&claims))
    }

    fn epoch(&self, event: &str, epoch: &str) {
        let fields = [("zone_id", "z"), ("epoch", epoch), ("event", event), ("edge_id", "e-9")];
        self.apply(Stream::DelegationsInvalidate, &fields);
    }
}

/// A task that waits for its request to be cut, and counts how often it was woken.
struct Waiting {
    running: RequestCancellation,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Waiting {
    fn new(running: RequestCancellation) -> Self {
        let mut waiting = Self { running, woken: Arc::default() };
        let _ = waiting.poll();
        waiting
    }

    fn poll(&mut self) -> Poll<Cut> {
        let waker = Waker::from(Arc::clone(&self.woken));
        std::pin::pin!(&mut self.running).poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Returns the reason for which it was woken, exactly once; `None` if it never was.
    fn reason(&mut self) -> Option<&'static str> {
        match self.poll() {
            Poll::Ready(cut) => {
                assert_eq!(self.woken(), 1);
                Some(cut.label())
            }
            Poll::Pending => {
                assert_eq!(self.woken(), 0);
                None
            }
        }
    }
}

fn claims(sid: &str) -> Claims {
    Claims::new(sid, START, START + 3_600)
}

fn full_claims() -> Claims {
    let mut claims = claims("sid");
    claims.root_sid = Some("root".into());
    claims.agent_session_id = Some("session".into());
    claims.delegation_edge_id = Some("edge".into());
    claims.delegation_chain = vec![Hop::new(Some("hop-session".into()), Some("hop-edge".into()))];
    claims.delegation_path = vec!["path-edge".into()];
    claims
}

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

#[test]
fn every_part_wakes_and_the_cut_is_reported_once() {
    let scene = Scene::new();
    let reports = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let watch = scene.watch().on_cut(move |report| {
        let zone = report.zone.map(str::to_owned);
        sink.lock().unwrap().push((report.cut.label(), report.part, zone));
    });
    let mut claims = full_claims();
    claims.zone_id = Some("z".into());
    let running = Arc::new(watch).start(&claims);
    let mut parts: Vec<_> = (0..5).map(|_| Waiting::new(running.clone())).collect();
    parts.remove(0);
    parts[0].running.report(CutPoint::Handler);
    scene.revoke("sid", "sid");
    for part in &mut parts {
        assert_eq!(part.reason(), Some("revoked"));
        part.running.report(CutPoint::Response);
    }
    running.report(CutPoint::Signal);
    let zone = Some("z".to_owned());
    assert_eq!(*reports.lock().unwrap(), [("revoked", CutPoint::Response, zone)]);
}

#[test]
fn dropped_part_keeps_no_waker() {
    let scene = Scene::new();
    let running = Arc::new(scene.watch()).start(&full_claims());
    let part = Waiting::new(running.clone());
    let woken = Arc::clone(&part.woken);
    drop(part);
    assert_eq!(Arc::strong_count(&woken), 1);
}

#[test]
fn debug_output_has_settings_and_no_id() {
    let watch = Arc::new(Scene::new().watch());
    assert!(format!("{watch:?}").contains("exp_grace: 60s"));
    let running = watch.start(&full_claims());
    assert_eq!(format!("{running:?}"), "RequestCancellation { cut: None, .. }");
}

#[test]
fn handler_may_finish_once_a_part_lets_it() {
    let scene = Scene::new();
    let running = Arc::new(scene.watch()).start(&full_claims());
    assert!(!running.is_let_finish());
    RevokedSignal(Some(running.clone())).insecure_let_handler_finish();
    assert!(running.is_let_finish());
}

#[test]
fn signal_shows_the_cut_of_its_request() {
    let scene = Scene::new();
    let signal = RevokedSignal(Some(Arc::new(scene.watch()).start(&full_claims())));
    assert_eq!(signal.cut(), None);
    scene.revoke("sid", "sid");
    assert_eq!(signal.cut().map(Cut::label), Some("revoked"));
    assert_eq!(RevokedSignal(None).cut(), None);
}

/// A clock that polls a part of a request the first time that its own thread reads it.
#[derive(Debug)]
struct PollsFirst {
    clock: ManualClock,
    thread: std::thread::ThreadId,
    part: std::sync::Mutex<Option<(RequestCancellation, Waker)>>,
    polled: std::sync::Mutex<Option<RequestCancellation>>,
}

impl Clock for PollsFirst {
    fn now(&self) -> Moment {
        let part =
            self.part.lock().unwrap().take_if(|_| self.thread == std::thread::current().id());
        if let Some((mut part, waker)) = part {
            let polled = std::pin::pin!(&mut part).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            *self.polled.lock().unwrap() = Some(part);
        }
        self.clock.now()
    }
}

#[test]
fn part_that_begins_to_wait_during_the_registration_is_woken() {
    let clock = Arc::new(PollsFirst {
        clock: ManualClock::new(),
        thread: std::thread::current().id(),
        part: std::sync::Mutex::default(),
        polled: std::sync::Mutex::default(),
    });
    let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
    let watch = Arc::new(CutPolicy::new(revocations.reader(), Checks::default()));
    let running = watch.start(&full_claims());
    revocations.add(&BaselineFact::Revoked("sid"), revocations.now());
    let woken = Arc::<Woken>::default();
    *clock.part.lock().unwrap() = Some((running.clone(), Waker::from(Arc::clone(&woken))));
    // Registers the request, and then reads the clock to check it.
    assert_eq!(running.cut().map(Cut::label), Some("revoked"));
    assert!(clock.polled.lock().unwrap().take().is_some());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
}

#[test]
fn part_moved_to_another_task_is_woken_there() {
    let scene = Scene::new();
    let mut waiting = scene.start(&full_claims());
    let first = Arc::clone(&waiting.woken);
    for _ in 0..1_000 {
        waiting.woken = Arc::default();
        assert!(waiting.poll().is_pending());
    }
    // The replaced waker is neither kept nor woken.
    assert_eq!(Arc::strong_count(&first), 1);
    scene.revoke("sid", "sid");
    assert_eq!((waiting.reason(), first.0.load(Ordering::SeqCst)), (Some("revoked"), 0));
}

#[test]
fn dropping_every_part_unregisters_the_request() {
    let scene = Scene::new();
    let watch = Arc::new(scene.watch().cut_when_unknown());
    let mut claims = full_claims();
    (claims.exp, claims.zone_id) = (START + 9, Some("z".into()));
    let waiting: Vec<_> = (0..100).map(|_| Waiting::new(watch.start(&claims))).collect();
    let part = waiting[0].running.clone();
    assert_eq!(scene.revocations.running(), 700);
    drop(waiting);
    assert_eq!(scene.revocations.running(), 7);
    let panicked = std::thread::spawn(move || {
        let _part = part;
        panic!("a task panics");
    });
    assert!(panicked.join().is_err());
    assert_eq!(scene.revocations.running(), 0);
    assert_eq!(scene.revocations.state().running.next(), (None, None));
    let weak = Arc::downgrade(scene.revocations.state());
    drop((scene, watch));
    // The timekeeper's thread may hold the state during a check.
    let gone = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        weak.upgrade().is_none()
    });
    assert!(gone, "no request or thread keeps the state alive");
}

#[test]
fn woken_task_may_drop_the_request() {
    struct DropsIt(std::sync::Mutex<Option<RequestCancellation>>);
    impl Wake for DropsIt {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let scene = Scene::new();
    let mut running = Arc::new(scene.watch()).start(&full_claims());
    let drops = Arc::new(DropsIt(std::sync::Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&drops));
    assert!(std::pin::pin!(&mut running).poll(&mut Context::from_waker(&waker)).is_pending());
    *drops.0.lock().unwrap() = Some(running);
    scene.revoke("sid", "sid");
    assert_eq!(scene.revocations.running(), 0);
}

#[test]
fn marks_every_request_before_it_wakes_a_task() {
    struct Sees {
        all: OnceLock<Vec<RequestCancellation>>,
        woken: AtomicUsize,
        unmarked: AtomicUsize,
    }
    impl Wake for Sees {
        fn wake(self: Arc<Self>) {
            let all = self.all.get().unwrap();
            let unmarked = all.iter().filter(|running| running.seen_cut().is_none()).count();
            self.unmarked.fetch_add(unmarked, Ordering::SeqCst);
            self.woken.fetch_add(1, Ordering::SeqCst);
        }
    }
    for count in [2, 500] {
        let scene = Scene::new();
        let watch = Arc::new(scene.watch());
        let sees = Arc::new(Sees {
            all: OnceLock::new(),
            woken: AtomicUsize::new(0),
            unmarked: AtomicUsize::new(0),
        });
        let waker = Waker::from(Arc::clone(&sees));
        let mut all: Vec<_> = (0..count).map(|_| watch.start(&full_claims())).collect();
        for running in &mut all {
            let polled = std::pin::pin!(running).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert!(sees.all.set(all).is_ok());
        scene.revoke("root_sid", "root");
        let woken = (0..2_000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            sees.woken.load(Ordering::SeqCst) == count
        });
        assert_eq!((woken, sees.unmarked.load(Ordering::SeqCst)), (true, 0), "{count} requests");
    }
}

/// Fails if `what` does not end: it then waits for a lock that its own thread holds.
fn ends(what: impl FnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        what();
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(Duration::from_secs(20)).is_ok(), "the thread hangs or panicked");
}

#[test]
fn replaced_waker_may_use_its_request() {
    /// Holds a waiting part of the request, like a task that this waker wakes.
    struct Task(std::sync::Mutex<Option<RequestCancellation>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Task {
        fn drop(&mut self) {
            let mut part = self.0.lock().unwrap().take().unwrap();
            assert!(poll(&mut part, &Waker::from(Arc::<Woken>::default())).is_pending());
        }
    }
    fn poll(running: &mut RequestCancellation, waker: &Waker) -> Poll<Cut> {
        std::pin::pin!(running).poll(&mut Context::from_waker(waker))
    }
    ends(|| {
        let scene = Scene::new();
        let mut running = Arc::new(scene.watch()).start(&full_claims());
        let mut part = running.clone();
        assert!(poll(&mut part, &Waker::from(Arc::<Woken>::default())).is_pending());
        let task = Task(std::sync::Mutex::new(Some(part)));
        assert!(poll(&mut running, &Waker::from(Arc::new(task))).is_pending());
        let woken = Arc::<Woken>::default();
        assert!(poll(&mut running, &Waker::from(Arc::clone(&woken))).is_pending());
        scene.revoke("sid", "sid");
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        drop(running);
        assert_eq!(scene.revocations.running(), 0);
    });
}

#[test]
fn waker_notified_of_loss_may_use_the_state() {
    struct UsesState(Arc<RevocationsWriter>);
    impl Wake for UsesState {
        fn wake(self: Arc<Self>) {
            assert_ne!(self.0.losses(), crate::LossVersion::default());
            assert!(self.0.clear_horizon(self.0.losses()));
        }
    }
    ends(|| {
        let scene = Scene::new();
        let mut losses = scene.revocations.watch_losses();
        let waker = Waker::from(Arc::new(UsesState(Arc::clone(&scene.revocations))));
        let mut changed = std::pin::pin!(losses.changed());
        assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        scene.revocations.raise_horizon(START);
        assert!(changed.poll(&mut Context::from_waker(&waker)).is_ready());
    });
}

#[test]
fn concurrent_registration_and_revocation_misses_no_request() {
    for round in 0..300 {
        let scene = Scene::new();
        let id = format!("ar-{round}");
        let watch = Arc::new(scene.watch());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                (0..20).map(|_| Waiting::new(watch.start(&claims(&id)))).collect::<Vec<_>>()
            });
            scene.revoke("sid", &id);
            for mut waiting in waiting.join().unwrap() {
                let Poll::Ready(Cut::Denied(denial)) = waiting.poll() else {
                    panic!("missed in round {round}");
                };
                assert_eq!(denial.reason(), DenyReason::Revoked);
            }
        });
    }
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
