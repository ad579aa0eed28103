use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{Key, KeyRing, StreamId};
use caracal_revocation_state::{
    BaselineFact, Checks, Claims, ManualClock, Moment, Options, RevocationsWriter, UnknownCause,
    Verdict,
};

use super::format::{self, Snapshot, SnapshotError};
use super::position::Boot;
use super::{Checkpoint, Keeper, Position, RestoredSnapshot, Saver};
use crate::entry::PerStream;

fn key(digits: &str) -> Key {
    Key::from_hex(&digits.repeat(32)).unwrap()
}

fn ring() -> KeyRing {
    KeyRing::new(key("1a"))
}

fn state() -> (RevocationsWriter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(100_000));
    (RevocationsWriter::with_clock(Options::default(), clock.clone()), clock)
}

fn tracks() -> PerStream<Checkpoint> {
    [1, 2, 3, 4, 5].map(|n| Checkpoint::new(StreamId::new(n, 7), 2, n + 4, true))
}

fn snapshot() -> Snapshot {
    let (revocations, _clock) = state();
    let now = revocations.now();
    (0..20).for_each(|n| revocations.add(&BaselineFact::Revoked(&format!("ar-{n}")), now));
    let as_of = now.earlier_by(Duration::from_secs(2));
    Snapshot::new(position(as_of), now, Boot::now(), revocations.image())
}

fn position(as_of: Moment) -> Position {
    Position { as_of, key_is_proven: true, tracks: tracks() }
}

fn sealed() -> Vec<u8> {
    format::seal(&snapshot(), &key("1a"))
}

/// Restores a state from these bytes. Asserts that a failure changes nothing.
fn restore(bytes: &[u8], keys: KeyRing) -> Result<RestoredSnapshot, SnapshotError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    std::fs::write(&path, bytes).unwrap();
    let (revocations, _clock) = state();
    let outcome = Keeper::new(path, keys).restore(&revocations);
    let expected = if outcome.is_ok() { 20 } else { 0 };
    assert_eq!((revocations.entries(), revocations.horizon()), (expected, None));
    outcome.map(|restored| restored.unwrap())
}

#[test]
fn restored_state_equals_saved_state() {
    let restored = restore(&sealed(), ring()).unwrap();
    assert_eq!(restored.tracks, tracks());
    assert!(restored.key_is_proven);
    let as_of = restored.as_of.unwrap();
    let elapsed = state().0.now().elapsed_since(as_of);
    assert!(elapsed >= Duration::from_secs(2) && elapsed < Duration::from_secs(60), "{elapsed:?}");
}

#[test]
fn rejects_truncated_or_changed_file() {
    let whole = sealed();
    for end in 0..whole.len() {
        assert!(restore(&whole[..end], ring()).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(restore(&changed, ring()).is_err(), "changed at {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(restore(&longer, ring()), Err(SnapshotError::Seal)));
    let mut newer = whole;
    newer[28] = 3;
    assert!(matches!(restore(&newer, ring()), Err(SnapshotError::Version(3))));
    assert!(matches!(restore(b"", ring()), Err(SnapshotError::NotASnapshot)));
}

#[test]
fn stream_keys_open_and_current_key_seals() {
    let other = KeyRing::new(key("2b"));
    assert!(matches!(restore(&sealed(), other.clone()), Err(SnapshotError::Seal)));
    assert!(restore(&sealed(), other.with_previous(key("1a"))).is_ok());
    let none = KeyRing::insecure_accept_unsigned();
    assert!(matches!(restore(&sealed(), none.clone()), Err(SnapshotError::Seal)));
    let keeper = Keeper::new("/nowhere".into(), none);
    assert!(matches!(keeper.keep(&snapshot()), Err(SnapshotError::NoKey)));
}

#[test]
fn rejects_sealed_content_that_is_invalid() {
    let whole = sealed();
    let content = &whole[..whole.len() - 32];
    for end in 30..content.len() {
        assert!(format::parse(&content[..end]).is_err(), "cut at {end}");
    }
    assert!(format::parse(content).is_ok());
    assert!(format::parse(&[content, &[0]].concat()).is_err(), "bytes after the content");
}

#[tokio::test]
async fn saver_writes_every_twenty_seconds_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let (revocations, clock) = state();
    let revocations = Arc::new(revocations);
    let mut saver = Saver::new(Keeper::new(path.clone(), ring()), Arc::clone(&revocations));
    let now = || revocations.now();
    // Nothing is proven yet, so the saver asks each time.
    let mut asked = 0;
    for _ in 0..3 {
        saver.offer(|| {
            asked += 1;
            None
        });
    }
    assert_eq!(asked, 3);
    for _ in 0..2 {
        saver.offer(|| Some(position(now())));
        written(&path).await;
        clock.advance(Duration::from_millis(19_999));
        for _ in 0..100 {
            saver.offer(|| panic!("a snapshot was written less than 20 s ago"));
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(1));
        // The file is in place a moment before its task ends.
        let start = std::time::Instant::now();
        let mut is_asked = false;
        while !is_asked {
            saver.offer(|| {
                is_asked = true;
                None
            });
            assert!(start.elapsed() < Duration::from_secs(60), "no snapshot is due");
            tokio::task::yield_now().await;
        }
    }
    saver.finish(Some(position(now()))).await;
    let (restored, _clock) = state();
    let last = Keeper::new(path, ring()).restore(&restored).unwrap().unwrap();
    assert_eq!((last.tracks, last.key_is_proven), (tracks(), true));
}

/// Waits for the file, and removes it.
async fn written(path: &std::path::Path) {
    let start = std::time::Instant::now();
    while std::fs::remove_file(path).is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "no snapshot was written");
        tokio::task::yield_now().await;
    }
}

#[cfg(target_os = "linux")]
#[test]
fn boot_of_this_machine_goes_on() {
    let (first, second) = (Boot::now().unwrap(), Boot::now().unwrap());
    assert!(first.id.len() == 36 && first.up > Duration::ZERO, "{first:?}");
    assert!(second.since(&first).unwrap() < Duration::from_secs(60));
    let restarted = Boot { id: "another".into(), up: second.up };
    assert_eq!(restarted.since(&first), None);
    let earlier = Boot { up: first.up.saturating_sub(Duration::from_millis(10)), ..first.clone() };
    assert_eq!(earlier.since(&first), None);
    assert_eq!(first.since(&earlier), Some(Duration::from_millis(10)));
}

#[test]
fn memory_is_the_oldest_age_of_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(folder.path().join("snapshot"), ring());
    let (revocations, clock) = state();
    let now = revocations.now();
    let boot = Boot::now();
    keeper.keep(&Snapshot::new(position(now), now, boot, revocations.image())).unwrap();
    clock.advance(revocations.options().memory);
    assert!(keeper.restore(&revocations).unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    let outcome = keeper.restore(&revocations);
    assert!(matches!(outcome, Err(SnapshotError::Outdated(_))), "{outcome:?}");
}

#[test]
fn snapshot_from_before_the_monotonic_clock_proves_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(folder.path().join("snapshot"), ring());
    let clock = Arc::new(ManualClock::new());
    clock.advance(Duration::from_secs(60));
    let revocations = RevocationsWriter::with_clock(Options::default(), clock);
    let now = revocations.now();
    let younger = now.monotonic - Duration::from_millis(1);
    for (age, is_known) in [(younger, true), (now.monotonic, false)] {
        let as_of = Moment { wall: now.wall - age, ..now };
        let snapshot = Snapshot::new(position(as_of), as_of, Boot::now(), revocations.image());
        keeper.keep(&snapshot).unwrap();
        let restored = keeper.restore(&revocations).unwrap().unwrap();
        assert_eq!(restored.as_of, is_known.then(|| now.earlier_by(age)));
    }
}

#[test]
fn snapshot_needs_a_key_to_seal_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let keeper = Keeper::new(path.clone(), KeyRing::insecure_accept_unsigned());
    assert!(matches!(keeper.keep(&snapshot()), Err(SnapshotError::NoKey)));
    assert!(!path.exists());
}

#[test]
fn rejects_snapshot_older_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(folder.path().join("snapshot"), ring());
    keeper.keep(&snapshot()).unwrap();
    let (revocations, clock) = state();
    clock.advance(revocations.options().memory + Duration::from_secs(60));
    let outcome = keeper.restore(&revocations);
    assert!(matches!(outcome, Err(SnapshotError::Outdated(_))), "{outcome:?}");
    assert_eq!(revocations.entries(), 0);
}

#[test]
fn snapshot_age_uses_the_larger_clock() {
    let snapshot = snapshot();
    let (revocations, clock) = state();
    let boot = Boot { id: "this".into(), up: Duration::from_secs(1_000) };
    let mut then = snapshot.clone();
    then.as_of_boot = Some(Boot { up: Duration::from_secs(990), ..boot.clone() });
    let elapsed = |then: &Snapshot, boot: Option<&Boot>| then.elapsed(revocations.now(), boot);
    assert_eq!(elapsed(&then, Some(&boot)), Some(Duration::from_secs(10)));
    clock.advance_wall(Duration::from_secs(3_600));
    assert_eq!(elapsed(&then, Some(&boot)), Some(Duration::from_secs(3_602)));
    let set_back = Boot { up: Duration::from_secs(989), ..boot.clone() };
    assert_eq!(elapsed(&then, Some(&set_back)), None);
    let rebooted = Boot { id: "other".into(), ..boot.clone() };
    assert_eq!(elapsed(&then, Some(&rebooted)), None);
    assert_eq!(elapsed(&then, None), None);
    then.as_of_boot = None;
    assert_eq!(elapsed(&then, Some(&boot)), None);
}

#[test]
fn restored_state_denies_at_once_and_admits_within_bound() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(folder.path().join("snapshot"), ring());
    keeper.keep(&snapshot()).unwrap();
    keeper.keep(&snapshot()).unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let (revocations, clock) = state();
    let restored = keeper.restore(&revocations).unwrap().unwrap();
    let verdict = |sid| {
        let (now, issued) = (revocations.now(), 1_795_500_000);
        revocations.decide(&Claims::new(sid, issued, issued + 900), &Checks::default(), now)
    };
    assert!(matches!(verdict("ar-3"), Verdict::Denied(_)));
    assert!(matches!(verdict("other"), Verdict::Unknown(UnknownCause::NotReady(_))));
    revocations.confirm(restored.as_of.unwrap());
    assert!(matches!(verdict("other"), Verdict::Admitted(_)));
    clock.advance(Duration::from_secs(60));
    assert!(matches!(verdict("ar-3"), Verdict::Denied(_)));
    assert!(matches!(verdict("other"), Verdict::Unknown(UnknownCause::Stale { .. })));
}

#[test]
#[cfg(unix)]
fn only_owner_can_read_file_and_missing_folder_fails() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    Keeper::new(path.clone(), ring()).keep(&snapshot()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let nowhere = Keeper::new(folder.path().join("no/such/folder"), ring());
    assert!(matches!(nowhere.keep(&snapshot()), Err(SnapshotError::File(_))));
    let (revocations, _clock) = state();
    assert!(nowhere.restore(&revocations).unwrap().is_none(), "there is no file");
}

const CHILD: &str = "CARACAL_SNAPSHOT_OF_A_CHILD";

/// Returns a snapshot with enough anchors that writing it takes a while.
fn large() -> Snapshot {
    let (revocations, _clock) = state();
    let now = revocations.now();
    (0..200_000).for_each(|n| revocations.add(&BaselineFact::Revoked(&format!("ar-{n}")), now));
    Snapshot::new(position(now), now, Boot::now(), revocations.image())
}

/// Runs as the process that the next test kills. It is not a test by itself.
#[test]
fn child_that_writes_for_ever() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (keeper, large) = (Keeper::new(path.into(), ring()), large());
    loop {
        keeper.keep(&large).unwrap();
    }
}

#[test]
fn killed_writer_leaves_complete_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot");
    let keeper = Keeper::new(path.clone(), ring());
    let mut torn = 0;
    for round in 0..200 {
        std::fs::write(&path, sealed()).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "snapshot::tests::child_that_writes_for_ever"])
            .env(CHILD, &path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Kills the process once it is writing, each time at another moment.
        let temporary = folder.path().join("snapshot.new");
        let begun = || std::fs::metadata(&temporary).is_ok_and(|file| file.len() > 0);
        while !begun() {
            assert!(child.try_wait().unwrap().is_none(), "the child writes until it is killed");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(300 * round % 7_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let (revocations, _clock) = state();
        keeper.restore(&revocations).unwrap().expect("a snapshot exists");
        assert!([20, 200_000].contains(&revocations.entries()), "{}", revocations.entries());
        torn += usize::from(temporary.exists());
        let _ = std::fs::remove_file(&temporary);
        if torn >= 3 && round >= 5 {
            return;
        }
    }
    panic!("the child was never killed while it wrote");
}
