//! What operators see of the fold: log lines, counters and the report for status pages.

use caracal_revocation_event::KeySlot;
use caracal_revocation_state::{GapCause, OutageCause};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;
use crate::fields::Fields;

/// Returns the values of these counters after `run`.
fn counted<const N: usize>(names: [&str; N], run: impl FnOnce()) -> [u64; N] {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, run);
    let all = snapshotter.snapshot().into_vec();
    names.map(|name| {
        let found = all.iter().filter(|(key, ..)| key.key().name() == name);
        let counts = found.map(|(.., value)| match value {
            DebugValue::Counter(count) => *count,
            other => panic!("{name} is no counter: {other:?}"),
        });
        counts.sum()
    })
}

#[test]
fn counts_replays_and_what_interrupts_them() {
    let counters = [
        "caracal_revocation_replays_total",
        "caracal_revocation_replay_errors_total",
        "caracal_revocation_reconnects_total",
        "caracal_gateway_revocation_messages_total",
        "caracal_revocation_full_total",
    ];
    for (name, steps, expected) in [
        ("history in two parts", &["publish", "publish", "read one", "read"][..], [1, 0, 0, 2, 0]),
        ("an outage begins", &["publish", "read", "fail"], [1, 0, 1, 1, 0]),
        ("an outage goes on", &["publish", "read", "fail again"], [1, 0, 0, 1, 0]),
        ("an outage interrupts a replay", &["fail", "fail again"], [0, 1, 1, 0, 0]),
        ("the state is full", &["fill", "read", "read"], [1, 0, 0, 10, 1]),
    ] {
        let run = || {
            let mut options = Options::default();
            options.max_entries = 8;
            let mut scene = Scene::new(options);
            for step in steps {
                match *step {
                    "publish" => scene.publish("ar-1", &key("1a")),
                    "fill" => (0..10).for_each(|n| scene.publish(&format!("ar-{n}"), &key("1a"))),
                    "read one" => scene.read_at_most(1),
                    "read" => scene.read(),
                    "fail" => scene.fold.failed(OutageCause::Unreachable, true),
                    "fail again" => scene.fold.failed(OutageCause::Unreachable, false),
                    other => panic!("{other}"),
                }
            }
        };
        assert_eq!(counted(counters, run), expected, "{name}");
    }
}

#[test]
fn logs_readiness_once_and_names_missing_and_young_streams() {
    const READY: &str = "ready: the history was replayed";
    const MISSING: &str = "these streams do not exist yet";
    let (young, missing) = (Stream::SessionsRevoke.name(), Stream::AgentsLifecycle.name());
    for (requires_streams, is_missing) in [(true, true), (true, false), (false, true)] {
        logged::begin();
        let mut scene = Scene::new(Options::default());
        if requires_streams {
            scene = scene.requiring_streams();
        }
        if is_missing {
            scene.streams[Stream::AgentsLifecycle.index()] = None;
        }
        scene.publish("ar-1", &key("1a"));
        (0..3).for_each(|_| scene.read());
        let ready = logged::lines(READY);
        assert!(ready.len() == 1 && ready[0].contains(young), "{ready:?}");
        assert_eq!(ready[0].contains(missing), !is_missing, "a missing stream is not young");
        let warned = logged::lines(MISSING);
        let expected = usize::from(requires_streams && is_missing);
        assert_eq!(warned.len(), expected, "{requires_streams}, {is_missing}");
        assert!(warned.iter().all(|line| line.contains(missing) && !line.contains(young)));
    }
}

#[test]
fn logs_once_why_it_is_not_ready() {
    let wrong_key = "none is signed with an accepted key";
    let wrong_server = "none of Caracal's streams exists here";
    logged::begin();
    let mut scene = Scene::new(Options::default());
    scene.publish("ar-1", &key("2b"));
    (0..3).for_each(|_| scene.read());
    assert_eq!([wrong_key, wrong_server].map(logged::count), [1, 0]);
    logged::begin();
    let mut scene = Scene::new(Options::default()).requiring_streams().without_streams();
    (0..3).for_each(|_| scene.read());
    assert_eq!([wrong_key, wrong_server].map(logged::count), [0, 1]);
}

#[test]
fn logs_once_that_the_state_is_full() {
    logged::begin();
    let mut options = Options::default();
    options.max_entries = 8;
    let mut scene = Scene::new(options);
    (0..10).for_each(|n| scene.publish(&format!("ar-{n}"), &key("1a")));
    (0..3).for_each(|_| scene.read());
    assert_eq!(logged::count("the state is full"), 1);
}

#[test]
fn status_report_has_positions_and_counts() {
    let mut scene = Scene::new(Options::default()).without_streams();
    scene.publish("ar-1", &key("1a"));
    scene.publish("ar-2", &key("1a"));
    scene.publish("forged", &key("2b"));
    let last = scene.entries()[2].id;
    scene.read();
    let report = scene.fold.writer.follower();
    let (own, other) = (&report.streams[STREAM.index()], &report.streams[1]);
    assert_eq!((own.cursor, own.exists, own.replayed), (last, true, 1.0));
    assert_eq!(own.proven, Some(scene.now()));
    assert_eq!((other.cursor, other.exists), (StreamId::ZERO, false));
    let verified = report.keys.iter().map(|(slot, tally)| (*slot, tally.count));
    assert!(verified.eq([(KeySlot::Current, 2)]));
    assert_eq!((report.bad_signatures.count, report.suspicions.len(), own.gaps.len()), (1, 0, 0));

    scene.wait(1);
    for _ in 0..2 {
        scene.fold.suspect_loss(LossSuspicion::Restarted, PerStream::default());
    }
    scene.fold.suspect_loss(LossSuspicion::Failover, PerStream::default());
    scene.streams[STREAM.index()] = None;
    scene.read();
    let report = scene.fold.writer.follower();
    let suspicions = report.suspicions.iter().map(|(it, tally)| (*it, tally.count));
    assert!(suspicions.eq([(LossSuspicion::Restarted, 2), (LossSuspicion::Failover, 1)]));
    let gaps = report.streams[STREAM.index()].gaps.iter().map(|(it, tally)| (*it, tally.count));
    assert!(gaps.eq([(GapCause::Missing, 1)]));
}

#[test]
fn answer_that_proves_no_time_is_not_reported_as_proven() {
    let mut scene = Scene::new(Options::default());
    scene.read_sent_at(crate::fold::track::NEVER, 10);
    assert!(scene.fold.position().is_none());
    let report = scene.fold.writer.follower();
    assert!(report.streams.iter().all(|stream| stream.proven.is_none()), "{report:?}");
}

#[test]
fn too_large_message_is_rejected_and_a_loss_only_in_strict_mode() {
    for (strict, options) in [(false, Options::default()), (true, Options::strict())] {
        let mut scene = Scene::new(options);
        scene.publish("ar-1", &key("1a"));
        scene.read();
        scene.wait(600);
        let id = scene.next_id(STREAM);
        scene.entries().push(Entry { stream: STREAM, id, fields: Fields::left_out(1 << 30) });
        scene.streams[STREAM.index()].as_mut().unwrap().added += 1;
        logged::begin();
        (0..2).for_each(|_| scene.read());
        assert_eq!(logged::count("message too large"), 1);
        assert_eq!(scene.queue.len(), 1, "it is a dead letter");
        let published = scene.now().wall.as_secs().cast_signed();
        let horizon = scene.fold.writer.horizon();
        assert_eq!(horizon.is_some_and(|second| second >= published), strict, "{horizon:?}");
    }
}

#[test]
fn replay_ratio_is_that_of_the_stream_furthest_behind() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let ratio = || {
        let all = snapshotter.snapshot().into_vec();
        let mut named = all
            .into_iter()
            .filter(|(key, ..)| key.key().name() == "caracal_revocation_replay_ratio");
        match named.next() {
            Some((.., DebugValue::Gauge(ratio))) => ratio.into_inner(),
            other => panic!("{other:?}"),
        }
    };
    metrics::with_local_recorder(&recorder, || {
        let mut scene = Scene::new(Options::default());
        scene.fold.failed(OutageCause::Unreachable, true);
        assert_eq!(ratio(), 0.0, "nothing was read");
        for n in 0..5 {
            scene.publish(&format!("ar-{n}"), &key("1a"));
            scene.wait(1);
        }
        for expected in [0.0, 0.25, 0.5, 0.75, 1.0] {
            scene.read_at_most(1);
            assert_eq!(ratio(), expected);
        }
    });
}
