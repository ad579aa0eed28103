use super::*;

fn primary(run_id: &str, history: &str, offset: i64) -> Identity {
    Identity {
        run_id: run_id.into(),
        history: history.into(),
        offset,
        earlier: None,
        is_replica: false,
        moved_from: None,
    }
}

fn replica(run_id: &str, history: &str, offset: i64) -> Identity {
    Identity { is_replica: true, ..primary(run_id, history, offset) }
}

fn promoted(run_id: &str, history: &str, earlier: &str, end: i64) -> Identity {
    Identity { earlier: Some((earlier.into(), end)), ..primary(run_id, history, end) }
}

/// Returns a tracker that is proven up to offset 100 of history `h1`, on this server.
fn proven_on(server: &Identity) -> ContinuityTracker {
    let mut tracker = ContinuityTracker::default();
    assert_eq!(tracker.observe(server), Continuity::Sound);
    tracker.prove("h1", 100);
    tracker
}

#[test]
fn same_server_is_sound() {
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    assert_eq!(tracker.observe(&primary("r1", "h1", 100)), Continuity::Sound);
    assert_eq!(tracker.observe(&primary("r1", "h1", 170)), Continuity::Sound);
}

#[test]
fn restart_is_suspected_once() {
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    let again = primary("r2", "h2", 0);
    assert_eq!(tracker.observe(&again), Continuity::LossSuspected(LossSuspicion::Restarted));
    assert_eq!(tracker.observe(&again), Continuity::Sound);
}

#[test]
fn failover_is_sound_only_beyond_last_proven_offset() {
    for (end, continuity) in [
        (102, Continuity::TookOver),
        (101, Continuity::TookOver),
        (100, Continuity::LossSuspected(LossSuspicion::Failover)),
        (7, Continuity::LossSuspected(LossSuspicion::Failover)),
    ] {
        let mut tracker = proven_on(&primary("r1", "h1", 100));
        assert_eq!(tracker.observe(&promoted("r2", "h2", "h1", end)), continuity, "{end}");
    }
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    let stranger = promoted("r2", "h3", "h2", 1_000);
    assert_eq!(tracker.observe(&stranger), Continuity::LossSuspected(LossSuspicion::Restarted));
}

#[test]
fn compares_promoted_replica_by_its_own_offset() {
    let mut tracker = proven_on(&replica("r2", "h1", 100));
    assert_eq!(tracker.observe(&promoted("r2", "h2", "h1", 101)), Continuity::TookOver);
    assert_eq!(tracker.observe(&promoted("r2", "h2", "h1", 101)), Continuity::Sound);
}

#[test]
fn other_replica_of_same_history_is_never_suspected() {
    let mut tracker = proven_on(&replica("r1", "h1", 100));
    assert_eq!(tracker.observe(&replica("r2", "h1", 99)), Continuity::Behind);
    assert_eq!(tracker.observe(&replica("r2", "h1", 100)), Continuity::Sound);
    assert_eq!(tracker.observe(&replica("r1", "h1", 99)), Continuity::Behind);
}

#[test]
fn replica_with_another_history_is_suspected() {
    let mut tracker = proven_on(&replica("r1", "h1", 100));
    let continuity = tracker.observe(&replica("r1", "h2", 500));
    assert_eq!(continuity, Continuity::LossSuspected(LossSuspicion::Resynced));
}

#[test]
fn primary_that_begins_new_history_by_itself_is_sound() {
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    assert_eq!(tracker.observe(&primary("r1", "h2", 100)), Continuity::Sound);
    // Except if it was a replica in between.
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    let continuity = tracker.observe(&promoted("r1", "h3", "h2", 90));
    assert_eq!(continuity, Continuity::LossSuspected(LossSuspicion::Resynced));
}

#[test]
fn offset_of_ended_history_proves_nothing() {
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    tracker.observe(&primary("r2", "h2", 0));
    tracker.prove("h1", 1_000);
    assert_eq!(tracker.observe(&primary("r2", "h2", 0)), Continuity::Sound);
}

#[test]
fn rejects_info_with_missing_fields() {
    let server = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n";
    let replication = "# Replication\r\nrole:slave\r\nmaster_replid:h1\r\n\
        master_replid2:0000\r\nmaster_repl_offset:42\r\nsecond_repl_offset:-1\r\n";
    assert_eq!(Identity::run_id(server), Ok("abc"));
    assert!(Identity::run_id("").is_err());
    assert_eq!(Identity::of("abc", replication), Ok(replica("abc", "h1", 42)));
    let promoted = replication.replace("0000", "h0").replace("-1", "17").replace("slave", "master");
    let identity = Identity::of("abc", &promoted).unwrap();
    assert_eq!(identity.earlier, Some(("h0".into(), 17)));
    assert!(!identity.is_replica);
    for lost in ["role", "master_replid", "master_replid2", "master_repl_offset"] {
        assert!(Identity::of("abc", &replication.replace(&format!("{lost}:"), "x:")).is_err());
    }
}

#[test]
fn other_process_or_history_is_another_server() {
    let tracker = proven_on(&primary("r1", "h1", 100));
    assert!(!tracker.is_another(&primary("r1", "h1", 170)));
    assert!(tracker.is_another(&promoted("r2", "h2", "h1", 102)));
    assert!(tracker.is_another(&primary("r1", "h2", 170)));
    assert!(tracker.is_another(&primary("r2", "h1", 170)));
    assert!(!ContinuityTracker::default().is_another(&primary("r1", "h1", 170)));
}

#[test]
fn migrated_stream_is_not_suspected() {
    let from =
        |run_id: &str| Identity { moved_from: Some(run_id.into()), ..primary("r2", "h2", 7) };
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    assert_eq!(tracker.observe(&from("r1")), Continuity::Moved);
    assert_eq!(tracker.observe(&from("r1")), Continuity::Sound);
    // From now on, losses of the new server count.
    let again = Identity { run_id: "r3".into(), history: "h3".into(), ..from("r1") };
    assert_eq!(tracker.observe(&again), Continuity::LossSuspected(LossSuspicion::Restarted));
    // A server that was restarted before it released the slot may have lost messages.
    let mut tracker = proven_on(&primary("r1", "h1", 100));
    assert_eq!(tracker.observe(&from("r9")), Continuity::LossSuspected(LossSuspicion::Restarted));
}
