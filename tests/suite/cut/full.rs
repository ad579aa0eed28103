//! More revocations than the index holds, while responses run.

use axum::routing::get;
use caracal_revocation::Follower;
use caracal_revocation::state::{ManualClock, RevocationsWriter, UnknownCause};
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};

use super::http::send_request;
use super::*;
use crate::live::{eventually, is_revoked, is_unknown, publisher, ready, revoke, ring};
use crate::redis_server::RedisServer;

const ROOM: usize = 8;

async fn stream(address: SocketAddr, sid: &str) -> Response<Incoming> {
    let bearer = format!("Bearer {sid}");
    send_request(address, false, "/stream", &[("authorization", &bearer)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_despite_full_index_and_resumes_with_room() {
    let server = RedisServer::start();
    let clock = Arc::new(ManualClock::new());
    let mut options = Options::default();
    options.max_entries = ROOM;
    // Shortens each blocking read to a tenth of a second at most.
    options.deny_after = Duration::from_millis(400);
    let writer = RevocationsWriter::with_clock(options, clock.clone());
    let scene = Scene::of(writer.reader());
    let revocations = &scene.revocations;
    let settings = server.settings(&ring());
    Follower::new(settings).with_writer(writer).spawn();
    ready(revocations).await;
    let publisher = publisher(&server).await;
    let address =
        scene.serve(Router::new().route("/stream", get(async || unending_body("first\n")))).await;
    let mut running = [stream(address, "late").await, stream(address, "other").await];
    for response in &mut running {
        assert_eq!(response.status(), 200);
        soon(response.body_mut().frame()).await.unwrap().unwrap();
    }
    scene.running(2).await;

    for n in 0..ROOM {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    revoke(&publisher, "late").await;
    let [mut late, _other] = running;
    assert!(soon(late.body_mut().frame()).await.unwrap().is_err(), "the response is cut");
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Response)]);
    assert_eq!(is_unknown(revocations), Some(UnknownCause::Full));
    assert!(is_revoked(revocations, "ar-0"), "known revocations stay");
    for sid in ["late", "other", "new"] {
        assert_eq!(stream(address, sid).await.status(), 503, "{sid}");
    }
    assert_eq!(stream(address, "ar-0").await.status(), 401);
    scene.running(1).await;

    // A day later all entries have expired; each read removes a part of them.
    clock.advance(revocations.options().memory + Duration::from_secs(120));
    let mut connection = server.connection().await;
    let start = std::time::Instant::now();
    while revocations.is_full() {
        let mut wake = redis::cmd("XADD");
        wake.arg("caracal.keys.invalidate").arg("*").arg("zone_id").arg("unsigned");
        wake.query_async::<String>(&mut connection).await.unwrap();
        assert!(start.elapsed() < crate::live::TIMEOUT, "there is room, but the state stays full");
    }
    eventually("other requests are admitted again", || is_unknown(revocations).is_none()).await;
    assert!(revocations.horizon().is_some(), "the horizon covers the entries without room");
    let fresh = crate::live::claims("new");
    assert!(matches!(
        crate::live::verdict(revocations, &fresh),
        caracal_revocation::state::Verdict::Admitted(_)
    ));
}
