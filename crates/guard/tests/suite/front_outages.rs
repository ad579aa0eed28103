//! Outages behind a front: whatever stops, no request passes that must not.

use std::time::Duration;

use crate::exchange::{body, header, status};
use crate::front::Front;
use crate::program::Guard;

/// The staleness bound of a guard in these tests: an environment variable with its value.
pub(crate) const SHORT_BOUND: (&str, &str) = ("REVOCATION_DENY_AFTER_MS", "1000");

/// An answer that a front gives while its guard is out of order: the status, and a part of the
/// body.
pub(crate) type Answer = (u16, &'static str);

/// Brings about every outage in turn. The front answers `dead` while the guard is killed, and
/// `hung` while it is stopped.
pub(crate) async fn denies_during_outages(
    front: &Front<'_>,
    guard: &mut Guard,
    dead: Answer,
    hung: Answer,
) {
    denies_while_redis_is_frozen(front).await;
    denies_while_guard_hangs(front, guard, hung).await;
    denies_while_guard_is_dead(front, guard, dead).await;
}

/// Stops Redis: requests are denied as an outage, and pass again once Redis answers.
pub(crate) async fn denies_while_redis_is_frozen(front: &Front<'_>) {
    let token = front.world.mint("ar-stale");
    front.until(200, "/orders/1", &token).await;
    front.world.redis.freeze();
    let response = front.until(503, "/orders/1", &token).await;
    assert!(body(&response).contains("sts_unavailable"), "{response}");
    assert_eq!(header(&response, "retry-after"), Some("1"), "{response}");
    front.upstream.take();
    for _ in 0..5 {
        assert_eq!(status(&front.get("/orders/1", &token).await), 503);
    }
    assert_eq!(front.upstream.take(), []);
    front.world.redis.thaw();
    front.until(200, "/orders/1", &token).await;
}

/// Kills the guard: requests are denied with this answer, and pass again after a restart.
pub(crate) async fn denies_while_guard_is_dead(
    front: &Front<'_>,
    guard: &mut Guard,
    answer: Answer,
) {
    let token = front.world.mint("ar-dead");
    front.until(200, "/orders/1", &token).await;
    guard.kill();
    deny_all(front, &token, answer, 3).await;
    guard.restart().await;
    front.until(200, "/orders/1", &token).await;
}

/// Stops the guard: its connections stay open and nothing answers on them.
pub(crate) async fn denies_while_guard_hangs(front: &Front<'_>, guard: &Guard, answer: Answer) {
    let token = front.world.mint("ar-hung");
    front.until(200, "/orders/1", &token).await;
    guard.freeze().await;
    deny_all(front, &token, answer, 1).await;
    guard.signal("CONT");
    front.until(200, "/orders/1", &token).await;
}

async fn deny_all(front: &Front<'_>, token: &str, (expected, text): Answer, times: usize) {
    front.upstream.take();
    for _ in 0..times {
        let response = front.get("/orders/1", token).await;
        assert!(!response.is_empty(), "no response");
        assert_eq!(status(&response), expected, "{response}");
        assert!(body(&response).contains(text), "{response}");
    }
    // The application must not get a request late, either.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(front.upstream.take(), []);
}
