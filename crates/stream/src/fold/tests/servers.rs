//! Another server answers, or the same one after a restart: the streams are read again, and the
//! loss that nobody can exclude is counted.

use super::*;

fn server(run_id: &str, history: &str, offset: i64) -> Identity {
    Identity {
        run_id: run_id.into(),
        history: history.into(),
        offset,
        earlier: None,
        is_replica: false,
        moved_from: None,
    }
}

/// Begins on a primary, with one message that was read and proven.
fn on_primary(strict: bool) -> Scene {
    let mut scene = Scene::new(if strict { Options::strict() } else { Options::default() });
    scene.identity = Some(server("run-a", "history-a", 100));
    scene.publish("ar-1", &key("1a"));
    scene.read();
    scene.read();
    assert!(scene.fold.is_tailing());
    scene
}

#[test]
fn continuation_of_the_same_server_is_no_loss() {
    for strict in [false, true] {
        let mut scene = on_primary(strict);
        let (losses, horizon) = (scene.fold.writer.losses(), scene.fold.writer.horizon());
        scene.wait(60);
        scene.identity = Some(server("run-a", "history-a", 101));
        scene.read();
        assert!(scene.fold.is_tailing());
        assert_eq!((scene.fold.writer.losses(), scene.fold.writer.horizon()), (losses, horizon));
    }
}

#[test]
fn restart_and_failover_are_suspected_losses_and_strict_mode_assumes_them() {
    let restarted = server("run-b", "history-b", 3);
    let took_over =
        Identity { earlier: Some(("history-a".into(), 101)), ..server("run-b", "history-b", 101) };
    let too_early =
        Identity { earlier: Some(("history-a".into(), 50)), ..server("run-b", "history-b", 60) };
    for (name, identity) in
        [("restart", restarted), ("failover", took_over), ("lossy failover", too_early)]
    {
        for strict in [false, true] {
            let mut scene = on_primary(strict);
            let before = scene.fold.writer.losses().missing();
            scene.wait(600);
            scene.identity = Some(identity.clone());
            scene.read();
            assert!(scene.fold.writer.losses().missing() > before, "{name}, strict: {strict}");
            assert!(!scene.fold.is_tailing(), "{name}: the server may lack entries");
            assert!(scene.fold.position().is_none(), "{name}: no snapshot before they were read");
            let age = scene.fold.writer.staleness(scene.now()).unwrap();
            assert!(age >= 600 * SECOND, "{name}: the first answer proves nothing");
            scene.read();
            assert!(scene.fold.is_tailing(), "{name}, strict: {strict}");
            // The horizon of strict mode covers everything until now.
            let now = scene.now().wall.as_secs().cast_signed();
            let horizon = scene.fold.writer.horizon();
            assert_eq!(horizon.is_some_and(|second| second >= now), strict, "{name}: {horizon:?}");
            assert!(scene.is_revoked("ar-1"));
        }
    }
}

#[test]
fn replica_that_lags_behind_its_own_past_is_an_error() {
    let mut scene = on_primary(false);
    let losses = scene.fold.writer.losses();
    scene.identity = Some(Identity { is_replica: true, ..server("run-b", "history-a", 99) });
    let now = scene.now();
    assert_eq!(scene.try_read(now, 1_000), Err(LogError::Behind));
    assert_eq!(scene.fold.writer.losses(), losses);
}

#[test]
fn failover_without_a_proven_loss_is_counted_only_in_strict_mode() {
    for strict in [false, true] {
        let mut scene = on_primary(strict);
        let earlier = Some(("history-a".into(), 101));
        scene.identity = Some(Identity { earlier, ..server("run-b", "history-b", 101) });
        scene.read();
        let counted = scene.fold.writer.follower().suspicions.len();
        assert_eq!(counted, usize::from(strict));
    }
}

#[test]
fn each_stream_of_a_cluster_is_compared_with_its_own_server() {
    let mut scene = Scene::new(Options::default());
    scene.fold = scene.fold.split(true);
    let losses = scene.fold.writer.losses();
    for _ in 0..2 {
        for stream in Stream::ALL {
            scene.reads = Stream::ALL.map(|it| it == stream);
            scene.identity = Some(server(stream.name(), stream.name(), 100));
            scene.read();
        }
    }
    assert!(scene.fold.is_tailing());
    assert_eq!(scene.fold.writer.losses(), losses);
    scene.identity = Some(server("run-b", "history-b", 3));
    scene.read();
    assert!(scene.fold.writer.losses().missing() > losses.missing());
}

#[test]
fn time_of_each_server_is_by_its_own_clock() {
    let mut scene = Scene::new(Options::default());
    scene.fold = scene.fold.split(true);
    let only = |stream: Stream| Stream::ALL.map(|it| it == stream);
    let servers =
        [(Stream::SessionsRevoke, 3_600 * SECOND), (Stream::AgentsLifecycle, 60 * SECOND)];
    for (stream, lead) in servers {
        (scene.reads, scene.lead) = (only(stream), lead);
        scene.read();
    }
    scene.wait(10);
    let now = scene.now();
    for (stream, lead) in servers {
        let time = scene.fold.latest_server_time(only(stream), now);
        assert!(time.abs_diff(now.wall + lead) < SECOND / 100, "{stream}: {time:?}");
    }
}
