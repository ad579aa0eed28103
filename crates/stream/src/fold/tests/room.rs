//! The room of the state: expired entries make place, and a full state is repaired.

use super::*;

#[test]
fn every_reading_sweeps_until_expired_entries_are_gone() {
    let mut scene = Scene::new(Options::default());
    for n in 0..50 {
        scene.publish(&format!("ar-{n}"), &key("1a"));
    }
    scene.read();
    assert_eq!(scene.fold.writer.entries(), 50);
    scene.clock.advance(scene.fold.writer.options().memory + 120 * SECOND);
    let mut readings = 0;
    while scene.fold.writer.entries() > 0 {
        scene.read();
        scene.clock.advance(SECOND / 100);
        readings += 1;
        assert!(readings < 1_000, "{} entries are left", scene.fold.writer.entries());
    }
    assert!(readings > 1, "one reading sweeps only a part");
}

#[test]
fn readings_in_quick_succession_sweep_once() {
    let mut scene = Scene::new(Options::default());
    for n in 0..200 {
        scene.publish(&format!("ar-{n}"), &key("1a"));
    }
    scene.read();
    scene.clock.advance(scene.fold.writer.options().memory + 120 * SECOND);
    scene.read();
    let left = scene.fold.writer.entries();
    for _ in 0..600 {
        scene.read();
    }
    assert_eq!(scene.fold.writer.entries(), left, "no time has passed since the last sweep");
}

#[test]
fn full_state_has_room_again_once_entries_expired_and_raises_the_horizon() {
    let mut options = Options::default();
    options.max_entries = 8;
    let mut scene = Scene::new(options);
    for n in 0..10 {
        scene.publish(&format!("ar-{n}"), &key("1a"));
    }
    scene.read();
    assert_eq!(scene.unready(), Some(UnknownCause::Full));
    assert!(scene.fold.position().is_none(), "a snapshot would lack what found no room");
    // A full state sweeps at each reading.
    scene.clock.advance(options.memory + 120 * SECOND);
    for _ in 0..600 {
        scene.read();
    }
    assert_eq!(scene.unready(), None);
    // From then on, sweeps are spaced again, and no time has passed. One step of a sweep removes
    // the entries of one part of the index: one, and seldom more.
    let left = scene.fold.writer.entries();
    assert!((1..8).contains(&left), "{left} entries");
    let until = scene.now().wall + options.horizon_margin;
    assert_eq!(scene.fold.writer.horizon(), Some(until.as_secs().cast_signed()));
}
