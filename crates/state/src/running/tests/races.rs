//! Tasks that run, wake and drop while requests are registered and cut.

use super::*;

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

#[test]
fn tasks_of_one_connection_are_woken_one_after_the_other() {
    /// Records the connection of its request.
    struct Records(u32, std::sync::mpsc::Sender<u32>);
    impl Wake for Records {
        fn wake(self: Arc<Self>) {
            let _ = self.1.send(self.0);
        }
    }
    let revoke: fn(&Scene) = |scene| scene.revoke("root_sid", "root");
    let expire: fn(&Scene) = |scene| {
        scene.clock.advance(Duration::from_secs(3_600 + 61));
        let revocations = scene.revocations.reader();
        revocations.cut_overdue(revocations.now());
    };
    for (count, end) in [(20, revoke), (500, revoke), (500, expire)] {
        let scene = Scene::new();
        let watch = Arc::new(scene.watch());
        let (sender, woken) = std::sync::mpsc::channel();
        let mut all = Vec::new();
        // As in a service, requests come on each connection in turn.
        for connection in (1..=4).cycle().take(count) {
            let mut running = watch.start(&full_claims());
            running.set_connection(connection);
            let waker = Waker::from(Arc::new(Records(connection, sender.clone())));
            let polled = std::pin::pin!(&mut running).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            all.push(running);
        }
        end(&scene);
        let next = || woken.recv_timeout(Duration::from_secs(20)).unwrap();
        let mut order: Vec<_> = (0..count).map(|_| next()).collect();
        order.dedup();
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3, 4], "{count} requests");
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
