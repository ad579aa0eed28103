//! The parts of a request, each in a task of its own.

use super::*;

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
