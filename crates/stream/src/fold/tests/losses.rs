//! A table: stream × kind of loss → horizon, keys, policies and snapshot.

use super::*;

const OTHER_ZONE: &str = "another zone";

/// Fields of a message that this stream carries and that changes something.
fn fields(stream: Stream) -> &'static [(&'static str, &'static str)] {
    match stream {
        Stream::SessionsRevoke => &[("session_id", "ar-1")],
        Stream::KeysInvalidate | Stream::PolicyInvalidate => &[("zone_id", "z-1")],
        Stream::DelegationsInvalidate => {
            &[("zone_id", "z-1"), ("epoch", "7"), ("event", "edge_create"), ("edge_id", "e-1")]
        }
        Stream::AgentsLifecycle => {
            &[("zone_id", "z-1"), ("event", "spawn"), ("agent_session_id", "gs-1")]
        }
    }
}

type Loss = (&'static str, fn(&mut Scene, Stream));

/// The kinds of loss that the counters show. Each begins with three entries that were read.
const LOSSES: [Loss; 6] = [
    ("trimmed past the cursor", |scene, stream| {
        publish(scene, stream, 3);
        kept(scene, stream).entries.drain(..5);
    }),
    ("trimmed to nothing", |scene, stream| {
        publish(scene, stream, 1);
        kept(scene, stream).entries.clear();
    }),
    ("deleted in the middle", |scene, stream| {
        publish(scene, stream, 3);
        kept(scene, stream).entries.remove(4);
    }),
    ("removed", |scene, stream| scene.streams[stream.index()] = None),
    ("created again", |scene, stream| {
        scene.streams[stream.index()] = None;
        publish(scene, stream, 1);
    }),
    ("without its last entries", |scene, stream| {
        kept(scene, stream).entries.truncate(1);
        kept(scene, stream).added -= 2;
    }),
];

fn kept(scene: &mut Scene, stream: Stream) -> &mut Kept {
    scene.streams[stream.index()].get_or_insert_default()
}

fn publish(scene: &mut Scene, stream: Stream, count: usize) {
    (0..count).for_each(|_| scene.publish_fields(stream, fields(stream)));
}

/// Returns a scene that has read three entries of this stream, ten seconds ago.
fn reading(stream: Stream) -> Scene {
    let mut scene = Scene::new(Options::default());
    publish(&mut scene, stream, 3);
    scene.read();
    assert!(scene.fold.is_tailing() && scene.fold.position().is_some(), "{stream}");
    scene.wait(10);
    scene
}

/// The effects of a loss: the horizon, and the generations of keys and policies of a zone that no
/// message named.
fn effects(scene: &Scene) -> (Option<i64>, u64, u64) {
    let zone = scene.fold.writer.zone(OTHER_ZONE);
    (scene.fold.writer.horizon(), zone.keys_generation, zone.policy_generation)
}

fn second(scene: &Scene) -> i64 {
    i64::try_from(scene.now().wall.as_secs()).unwrap()
}

#[test]
fn each_loss_has_the_effect_of_its_stream() {
    for stream in Stream::ALL {
        for (name, lose) in LOSSES {
            let mut scene = reading(stream);
            lose(&mut scene, stream);
            let detected = second(&scene);
            (0..4).for_each(|_| scene.read());
            // Messages up to the reading may be lost, and clocks differ by up to the margin.
            let expected = match stream {
                Stream::KeysInvalidate => (None, 1, 0),
                Stream::PolicyInvalidate => (None, 0, 1),
                _ => (Some(detected + 5), 0, 0),
            };
            assert_eq!(effects(&scene), expected, "{stream} was {name}");
            assert!(scene.fold.is_tailing(), "{stream} was {name}: read again to its end");
        }
    }
}

#[test]
fn nothing_happens_without_a_loss() {
    for stream in Stream::ALL {
        let mut scene = reading(stream);
        publish(&mut scene, stream, 3);
        (0..4).for_each(|_| scene.read());
        // Entries that were read may be trimmed.
        kept(&mut scene, stream).entries.drain(..4);
        (0..4).for_each(|_| scene.read());
        assert_eq!(effects(&scene), (None, 0, 0), "{stream}");
    }
}

#[test]
fn no_snapshot_is_written_until_the_stream_was_reread() {
    for stream in Stream::ALL {
        for (name, lose) in LOSSES {
            let mut scene = reading(stream);
            let before = scene.fold.position().unwrap().as_of;
            lose(&mut scene, stream);
            scene.read_at_most(0);
            let stale = scene.fold.position().is_none_or(|position| position.as_of == before);
            assert!(stale, "{stream} was {name}: the position is no newer than the last proof");
            (0..4).for_each(|_| scene.read());
            let after = scene.fold.position().unwrap().as_of;
            assert_eq!(after.wall, scene.now().wall, "{stream} was {name}");
        }
    }
}

#[test]
fn horizon_divides_tokens_at_its_second() {
    for (name, lose) in LOSSES {
        let mut scene = reading(STREAM);
        lose(&mut scene, STREAM);
        (0..4).for_each(|_| scene.read());
        let horizon = scene.fold.writer.horizon().unwrap();
        scene.wait(60);
        (0..2).for_each(|_| scene.read());
        for (issued, is_denied) in [(horizon - 1, true), (horizon, true), (horizon + 1, false)] {
            let claims = Claims::new("unrelated", issued, issued + 900);
            let verdict = scene.fold.writer.decide(&claims, &Checks::default(), scene.now());
            assert_eq!(matches!(verdict, Verdict::Denied(_)), is_denied, "{name}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Admitted(_)), !is_denied, "{name}");
        }
    }
}

#[test]
fn recut_message_between_two_proofs_raises_the_horizon() {
    let mut scene = Scene::new(Options::default());
    scene.read();
    scene.wait(100);
    scene.reads_only_entries = true;
    scene.publish_recut("ar-1");
    scene.read();
    let margin = Options::default().horizon_margin.as_secs().cast_signed();
    let horizon = scene.fold.writer.horizon().unwrap();
    assert!(horizon >= second(&scene) + margin, "{horizon}");
}

#[test]
fn ambiguous_message_counts_as_a_loss_only_if_it_was_signed() {
    for is_signed in [true, false] {
        let mut scene = Scene::new(Options::default());
        scene.read();
        if is_signed {
            scene.publish_fields(STREAM, &[("zone_id", "z-1\nsession_id=ar-1")]);
        } else {
            let (id, field) = (scene.next_id(STREAM), ("zone_id".to_owned(), "z-1".to_owned()));
            scene.add(STREAM, id, vec![field.clone(), field]);
        }
        scene.read();
        assert_eq!(scene.fold.writer.horizon().is_some(), is_signed);
    }
}

#[test]
fn message_about_keys_is_applied_again_after_a_gap() {
    let stream = Stream::KeysInvalidate;
    let mut scene = Scene::new(Options::default());
    let generation = |scene: &Scene| scene.fold.writer.zone("z-1").keys_generation;
    for _ in 0..2 {
        scene.publish_fields(stream, &[("zone_id", "z-1"), ("outbox_id", UUID)]);
        scene.read();
        assert_eq!(generation(&scene), 1);
    }
    scene.streams[STREAM.index()] = None;
    (0..2).for_each(|_| scene.read());
    scene.publish_fields(stream, &[("zone_id", "z-1"), ("outbox_id", UUID)]);
    scene.read();
    assert_eq!(generation(&scene), 2);
}
