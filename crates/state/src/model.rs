//! Model checks: loom runs every order in which a writer and a reader may take their steps.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p caracal-revocation-state --lib model
//! ```

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::applying::BaselineFact;
use crate::claims::Claims;
use crate::clock::{ManualClock, Minute, Moment};
use crate::digest::DigestKeys;
use crate::freshness::Freshness;
use crate::index::{Index, Mark, Parts};
use crate::options::Options;
use crate::revocations::Revocations;
use crate::verdict::{Checks, Verdict};
use crate::writer::RevocationsWriter;

/// The largest number of times that loom preempts a thread.
const INTERRUPTIONS: usize = 2;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Creates an index with the same keys in every run: a model must be deterministic.
fn index(room: usize) -> Arc<Index> {
    let index = Arc::new(Index::with_room_for(room));
    assert!(index.adopt(DigestKeys::fixed()));
    index
}

fn holds(index: &Index, id: &str) -> bool {
    index.view(|view| view.mark(id)).flatten() == Some(Mark::Revoked)
}

#[test]
fn reader_that_sees_a_revocation_counted_finds_it() {
    check(|| {
        let (index, published) = (index(8), Arc::new(AtomicUsize::new(0)));
        let writer = {
            let (index, published) = (Arc::clone(&index), Arc::clone(&published));
            thread::spawn(move || {
                index.revoke(index.digest("a"), Minute::new(9));
                published.store(1, Ordering::Release);
                index.revoke(index.digest("b"), Minute::new(9));
                published.store(2, Ordering::Release);
            })
        };
        let observed = published.load(Ordering::Acquire);
        assert!(observed < 1 || holds(&index, "a"));
        assert!(observed < 2 || holds(&index, "b"));
        writer.join().unwrap();
        assert!(holds(&index, "a") && holds(&index, "b"));
    });
}

#[test]
fn reader_that_sees_a_proof_sees_earlier_revocations() {
    check(|| {
        let (index, freshness) = (index(8), Arc::new(Freshness::default()));
        let writer = {
            let (index, freshness) = (Arc::clone(&index), Arc::clone(&freshness));
            thread::spawn(move || {
                index.revoke(index.digest("a"), Minute::new(9));
                let at = Duration::from_secs(1);
                freshness.confirm(Moment { monotonic: at, wall: at });
            })
        };
        // The same order as in a decision.
        let now = Moment { monotonic: Duration::from_secs(2), wall: Duration::from_secs(2) };
        let is_fresh = freshness.staleness(now).is_ok_and(|age| age <= Duration::from_secs(1));
        assert!(!is_fresh || holds(&index, "a"), "a later proof admitted the token");
        writer.join().unwrap();
    });
}

#[test]
fn torn_read_of_proofs_is_never_fresher_than_both() {
    check(|| {
        let at = |monotonic, wall| Moment {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        };
        let freshness = Arc::new(Freshness::default());
        let writer = {
            let freshness = Arc::clone(&freshness);
            thread::spawn(move || {
                freshness.confirm(at(1, 100));
                // The wall clock was set back.
                freshness.confirm(at(2, 50));
            })
        };
        let now = at(10, 105);
        let age = freshness.staleness(now).ok();
        // The first proof is 9 s old, the second 55 s. Mixing their newest halves would give 8 s.
        assert!(age.is_none_or(|age| age >= Duration::from_secs(9)), "{age:?}");
        writer.join().unwrap();
        assert_eq!(freshness.staleness(now), Ok(Duration::from_secs(55)));
    });
}

#[test]
fn keeps_newest_of_two_concurrent_proofs() {
    check(|| {
        let at = |monotonic, wall| Moment {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        };
        let freshness = Arc::new(Freshness::default());
        let writer = {
            let freshness = Arc::clone(&freshness);
            thread::spawn(move || freshness.confirm(at(2, 50)))
        };
        freshness.confirm(at(1, 100));
        writer.join().unwrap();
        assert_eq!(freshness.staleness(at(10, 105)), Ok(Duration::from_secs(55)));
    });
}

#[test]
fn reader_that_sees_a_proof_sees_a_full_index() {
    check(|| {
        let (index, freshness) = (index(1), Arc::new(Freshness::default()));
        index.revoke(index.digest("a"), Minute::new(9));
        let writer = {
            let (index, freshness) = (Arc::clone(&index), Arc::clone(&freshness));
            thread::spawn(move || {
                index.revoke(index.digest("b"), Minute::new(9));
                let at = Duration::from_secs(1);
                freshness.confirm(Moment { monotonic: at, wall: at });
            })
        };
        let now = Moment { monotonic: Duration::from_secs(2), wall: Duration::from_secs(2) };
        let is_fresh = freshness.staleness(now).is_ok();
        assert!(!is_fresh || index.is_full());
        assert!(holds(&index, "a"));
        writer.join().unwrap();
    });
}

#[test]
fn replacing_the_filter_hides_no_entry() {
    check(|| {
        let (index, published) = (index(64), Arc::new(AtomicUsize::new(0)));
        // The next entry outgrows the first filter. Each later write advances the rebuild by one
        // step.
        for n in 0..24 {
            index.revoke(index.digest(&format!("old-{n}")), Minute::new(9));
        }
        let writer = {
            let (index, published) = (Arc::clone(&index), Arc::clone(&published));
            thread::spawn(move || {
                for n in 0..4 {
                    index.revoke(index.digest(&format!("new-{n}")), Minute::new(9));
                    published.store(n + 1, Ordering::Release);
                }
            })
        };
        let observed = published.load(Ordering::Acquire);
        assert!(holds(&index, "old-0"));
        if let Some(latest) = observed.checked_sub(1) {
            assert!(holds(&index, &format!("new-{latest}")));
        }
        writer.join().unwrap();
        assert!((0..4).all(|n| holds(&index, &format!("new-{n}"))));
        assert!(holds(&index, "old-23"));
    });
}

/// The second at which a [`ManualClock`] starts.
const HORIZON: i64 = 1_795_400_000;

/// Creates a state whose messages may have been lost, and a function that adds the lost messages
/// from a second source of truth.
fn lossy() -> (Revocations, impl FnOnce()) {
    let clock = std::sync::Arc::new(ManualClock::new());
    let writer = RevocationsWriter::with_clock(Options::default(), clock);
    let revocations = writer.reader();
    assert!(revocations.state().index.adopt(DigestKeys::fixed()));
    writer.confirm(writer.now());
    writer.raise_horizon(HORIZON);
    let losses = revocations.losses();
    let baseline = move || {
        writer.add(&BaselineFact::Revoked("a"), writer.now());
        assert!(writer.clear_horizon(losses));
    };
    (revocations, baseline)
}

#[test]
fn snapshot_holds_the_lost_entry_or_the_horizon() {
    check(|| {
        let (revocations, baseline) = lossy();
        let writer = thread::spawn(baseline);
        let image = revocations.image();
        assert!(image.horizon[0] == Some(HORIZON) || image.revoked.len() == 1, "neither");
        writer.join().unwrap();
    });
}

#[test]
fn reader_without_horizon_finds_the_lost_entry() {
    check(|| {
        let (revocations, baseline) = lossy();
        let writer = thread::spawn(baseline);
        let mut claims = claims();
        claims.token_use = Some("gateway".into());
        let verdict = revocations.decide(&claims, &Checks::default(), revocations.now());
        assert!(matches!(verdict, Verdict::Denied(_)), "{verdict:?}");
        writer.join().unwrap();
    });
}

/// A time after the end of a horizon at [`HORIZON`].
const LATER: Duration = Duration::from_secs(2 * 60 * 60);

#[test]
fn reader_that_sees_a_proof_sees_the_raised_horizon() {
    check(|| {
        let clock = std::sync::Arc::new(ManualClock::new());
        let writer = RevocationsWriter::with_clock(Options::default(), clock.clone());
        let revocations = writer.reader();
        assert!(revocations.state().index.adopt(DigestKeys::fixed()));
        writer.raise_horizon(HORIZON);
        clock.advance(LATER);
        assert_eq!(revocations.horizon(), None, "the horizon has ended");
        let second = HORIZON + LATER.as_secs().cast_signed();
        let writer = thread::spawn(move || {
            writer.raise_horizon(second);
            writer.confirm(writer.now());
        });
        let claims = Claims::new("a", second, second + 3_600);
        let verdict = revocations.decide(&claims, &Checks::default(), revocations.now());
        assert!(!matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        writer.join().unwrap();
        assert_eq!(revocations.horizon(), Some(second));
    });
}

fn claims() -> Claims {
    Claims::new("a", HORIZON, HORIZON + 3_600)
}

/// Decides on a token while these anchors are revoked, of which the last is its own; if
/// `decided_before`, decides on it once before, too.
fn decides_while_revoked(decided_before: bool, anchors: &'static [&'static str]) {
    check(move || {
        let clock = std::sync::Arc::new(ManualClock::new());
        let writer = RevocationsWriter::with_clock(Options::default(), clock);
        let revocations = writer.reader();
        assert!(revocations.state().index.adopt(DigestKeys::fixed()));
        writer.add(&BaselineFact::Revoked("other"), writer.now());
        let authority = revocations.authority(&claims());
        let decide = || authority.decide(&Checks::default(), revocations.now());
        if decided_before {
            assert!(matches!(decide(), Verdict::Unknown(_)), "nothing is proven yet");
        }
        let writer = thread::spawn(move || {
            for anchor in anchors {
                writer.add(&BaselineFact::Revoked(anchor), writer.now());
            }
            writer.confirm(writer.now());
        });
        for _ in 0..2 {
            let verdict = decide();
            assert!(!matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
        }
        writer.join().unwrap();
        assert!(matches!(decide(), Verdict::Denied(_)));
    });
}

#[test]
fn clean_authority_is_looked_up_again_after_an_addition() {
    decides_while_revoked(true, &["a"]);
}

#[test]
fn addition_during_a_lookup_prevents_caching_as_clean() {
    decides_while_revoked(false, &["a"]);
}

#[test]
fn clean_authority_is_looked_up_again_after_additions_of_others() {
    check(|| {
        let index = index(8);
        let part = |id| Parts::of([index.digest(id)].into_iter());
        assert_ne!(part("a"), part("b"), "only `e` shares the part of `a`");
        assert_eq!(part("a"), part("e"));
    });
    decides_while_revoked(true, &["b", "a"]);
    decides_while_revoked(true, &["e", "a"]);
}
