use caracal_revocation_event::OccurredAt;

use super::*;

fn holds(index: &Index, id: &str) -> bool {
    index.view(|view| view.mark(id)).flatten() == Some(Mark::Revoked)
}

#[test]
fn keeps_every_anchor_while_growing_and_shrinking() {
    let index = Index::with_room_for(100_000);
    for n in 0..50_000_u32 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(n / 1_000));
    }
    assert_eq!(index.len(), 50_000);
    assert!((0..50_000).all(|n| holds(&index, &format!("id-{n}"))));
    assert!((0..50_000).filter(|n| holds(&index, &format!("other-{n}"))).count() == 0);
    index.sweep(Minute::new(40));
    // A second pass completes the rebuild that the first one started.
    index.sweep(Minute::new(40));
    assert_eq!(index.len(), 10_000);
    assert!((0..50_000).all(|n| holds(&index, &format!("id-{n}")) == (n >= 40_000)));
    assert!(index.bytes() < 10_000 * 48, "{} bytes", index.bytes());
    index.sweep(Minute::new(60));
    assert!(index.view(|_| ()).is_none(), "an empty index costs a lookup nothing");
}

/// Returns the capacity of the filter, the number of its keys, and `true` during a rebuild.
fn sizes(index: &Index) -> (usize, usize, bool) {
    let writer = lock(&index.writer);
    (writer.filter.capacity(), writer.filtered, writer.rebuild.is_some())
}

#[test]
fn filter_grows_and_shrinks_with_the_entries() {
    let index = Index::with_room_for(100_000);
    let sizes = || sizes(&index);
    for n in 0..20_000_u32 {
        let expires = Minute::new(if n < 2_000 { 9 } else { 1 });
        assert!(index.revoke(index.digest(&format!("id-{n}")), expires));
        let (capacity, filtered, _) = sizes();
        // A rebuild takes a step at each entry, so few more keys than planned arrive meanwhile.
        let during = index.len() / STEP + 6;
        assert!(filtered <= capacity + during, "{filtered} keys in room for {capacity}");
        assert!(filtered >= index.len() && filtered <= index.len() + during);
        assert!(capacity <= index.len() * 3 + 2 * SPARE_KEYS, "{capacity} for {n} entries");
    }
    // A second pass completes the rebuild that the first one started.
    index.sweep(Minute::new(5));
    index.sweep(Minute::new(5));
    let (capacity, filtered, is_rebuilding) = sizes();
    assert_eq!((index.len(), filtered, is_rebuilding), (2_000, 2_000, false));
    assert!((2_000..20_000).contains(&capacity), "{capacity}");
}

#[test]
fn filter_is_not_rebuilt_while_it_has_room() {
    let index = Index::with_room_for(1_000);
    let (room, ..) = sizes(&index);
    assert!(room > 1);
    for n in 0..room {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    assert_eq!(sizes(&index), (room, room, false));
}

#[test]
fn filter_is_rebuilt_once_half_of_its_keys_have_expired() {
    for (expired, is_rebuilt) in [(1_990, false), (2_010, true)] {
        let index = Index::with_room_for(100_000);
        for n in 0..2_000 + expired {
            let expires = Minute::new(if n < 2_000 { 9 } else { 6 });
            index.revoke(index.digest(&format!("id-{n}")), expires);
        }
        index.sweep(Minute::new(7));
        index.sweep(Minute::new(7));
        let (_, filtered, is_rebuilding) = sizes(&index);
        assert_eq!((index.len(), is_rebuilding), (2_000, false));
        assert_eq!(filtered == 2_000, is_rebuilt, "{filtered} with {expired} expired");
    }
}

#[test]
fn bytes_count_the_filter_the_anchors_and_the_sessions() {
    let index = Index::with_room_for(1_000);
    assert_eq!(index.bytes(), 64, "the filter of an empty index");
    for n in 0..100 {
        index.suspend(index.digest(&format!("id-{n}")), Minute::new(9), |_| {});
    }
    let with_sessions = index.bytes();
    let session = size_of::<(Digest, Session)>();
    assert!((100 * session..400 * session).contains(&with_sessions), "{with_sessions}");
    for n in 0..400 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    let anchors = index.bytes() - with_sessions;
    assert!((400 * 16..400 * 160).contains(&anchors), "{anchors}");
}

#[test]
fn each_new_entry_is_one_addition() {
    let index = Index::with_room_for(2);
    let digest = |id| index.digest(id);
    assert!(index.revoke(digest("a"), Minute::new(1)));
    assert!(!index.revoke(digest("a"), Minute::new(2)));
    assert_eq!((index.additions().all(), index.len()), (1, 1));
    index.suspend(digest("b"), Minute::new(1), |_| {});
    index.suspend(digest("b"), Minute::new(2), |_| {});
    assert_eq!((index.additions().all(), index.len()), (2, 2));
    assert!(!index.revoke(digest("c"), Minute::new(1)));
    assert!(!index.suspend(digest("d"), Minute::new(1), |_| {}));
    assert_eq!((index.additions().all(), index.len()), (2, 2));
    // The later expiry counts, also that of a session.
    index.sweep(Minute::new(2));
    assert_eq!(index.len(), 2);
    index.sweep(Minute::new(3));
    assert_eq!((index.additions().all(), index.len()), (2, 0));
}

#[test]
fn has_room_until_an_eighth_is_left() {
    let index = Index::with_room_for(16);
    for n in 1..=16 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
        assert_eq!(index.has_room(), n <= 14, "{n} entries");
    }
}

#[test]
fn full_index_evicts_no_entry() {
    let index = Index::with_room_for(8);
    assert!((0..8).all(|n| index.revoke(index.digest(&format!("id-{n}")), Minute::new(n))));
    index.revoke(index.digest("id-0"), Minute::new(9));
    index.suspend(index.digest("id-0"), Minute::new(9), |_| {});
    assert!(index.is_full(), "session and anchor are two entries");
    index.reopen();
    index.revoke(index.digest("id-0"), Minute::new(9));
    assert!(!index.is_full(), "an existing entry needs no room");
    index.revoke(index.digest("other"), Minute::new(9));
    assert!(index.is_full() && !holds(&index, "other"));
    assert!((0..8).all(|n| holds(&index, &format!("id-{n}"))));
    assert!(!index.has_room());
    index.sweep(Minute::new(2));
    assert!(index.has_room() && index.is_full(), "room alone does not clear the full state");
}

#[test]
fn finds_anchor_revoked_again_after_a_sweep() {
    let index = Index::with_room_for(100_000);
    index.revoke(index.digest("id"), Minute::new(1));
    index.sweep(Minute::new(2));
    assert!(!holds(&index, "id"));
    index.revoke(index.digest("id"), Minute::new(3));
    assert!(holds(&index, "id"));
}

#[test]
fn readers_find_earlier_entries_during_writes() {
    let index = Index::with_room_for(100_000);
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..30_000_usize {
                index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
                written.store(n + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            while written.load(Ordering::Acquire) < 30_000 {
                let before = written.load(Ordering::Acquire);
                for n in (0..before).rev().take(50) {
                    assert!(holds(&index, &format!("id-{n}")), "id-{n} of {before}");
                }
            }
        });
    });
}

#[test]
fn rebuilt_filter_holds_the_suspended_sessions_too() {
    let index = Index::with_room_for(100_000);
    let at = OccurredAt::parse("2026-11-20T10:00:00.000Z").unwrap();
    for n in 0..100 {
        let session = index.digest(&format!("session-{n}"));
        index.suspend(session, Minute::new(9), |suspensions| suspensions.suspend(at, None));
    }
    for n in 0..5_000 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    for n in 0..100 {
        let mark = index.view(|view| view.mark(&format!("session-{n}"))).flatten();
        assert_eq!(mark, Some(Mark::Suspended), "session-{n}");
    }
}

#[test]
fn smallest_index_is_full_without_room() {
    for max_entries in 1..20 {
        let index = Index::with_room_for(max_entries);
        for number in 0..=max_entries {
            index.revoke(index.digest(&number.to_string()), Minute::new(9));
        }
        assert!(index.is_full() && !index.has_room(), "{max_entries}");
    }
}

#[test]
fn import_makes_room_once() {
    let index = Index::with_room_for(100_000);
    for n in 0..20_000_u32 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    let (revoked, sessions) = index.export(Minute::new(0));
    let restored = Index::with_room_for(100_000);
    assert!(restored.adopt(index.keys()));
    restored.import(&revoked, &sessions, Minute::new(0), 100);
    assert_eq!(restored.len(), 20_000);
    assert!((0..20_000).all(|n| holds(&restored, &format!("id-{n}"))));
    let filter = Filter::for_keys(20_000 + 10_000 + SPARE_KEYS);
    assert_eq!(sizes(&restored), (filter.capacity(), 20_000, false));
    assert!(restored.bytes() < 2 * index.bytes(), "{} bytes", restored.bytes());
}

#[test]
fn import_leaves_no_rebuild_to_later_writes() {
    let index = Index::with_room_for(100_000);
    for n in 0..3_000 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    // So many sessions that the last one fills the filter, which has room for the anchors.
    let room = Filter::for_keys(3_000 + 1_500 + SPARE_KEYS).capacity();
    for n in 3_000..=room {
        index.suspend(index.digest(&format!("id-{n}")), Minute::new(9), |_| {});
    }
    let (revoked, sessions) = index.export(Minute::new(0));
    let restored = Index::with_room_for(100_000);
    assert!(restored.adopt(index.keys()));
    restored.import(&revoked, &sessions, Minute::new(0), 100);
    let (capacity, filtered, is_rebuilding) = sizes(&restored);
    assert!(capacity > room, "the filter was rebuilt");
    assert_eq!((filtered, is_rebuilding), (room + 1, false));
}

#[test]
fn each_step_of_a_rebuild_adds_few_digests() {
    let index = Index::with_room_for(100_000);
    for n in 0..20_000 {
        index.revoke(index.digest(&format!("id-{n}")), Minute::new(9));
    }
    let mut writer = lock(&index.writer);
    writer.rebuild = Some(Rebuild::for_keys(20_000));
    let mut before = 0;
    while writer.rebuild.is_some() {
        index.step_rebuild(&mut writer);
        if let Some(Rebuild::Filling { filtered, .. }) = writer.rebuild {
            // The last shard of a step is added as a whole.
            assert!((STEP..STEP + 100).contains(&(filtered - before)), "{before}, {filtered}");
            before = filtered;
        }
    }
    assert!(before > 18 * STEP);
}
