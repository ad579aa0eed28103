//! Redis fails under load, and recovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use caracal_revocation::state::UnknownCause;
use caracal_revocation::stream::Canary;
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, GatewayLayer};
use http::StatusCode;

use crate::dead_letters::eventually_dead;
use crate::delivery::add;
use crate::live::{
    TIMEOUT, eventually, eventually_horizon, follow, follow_within, is_admitted, is_revoked,
    is_unknown, publisher, ready, revoke, ring,
};
use crate::mandates::Issuer;
use crate::redis_server::RedisServer;
use crate::service::{TestClient, on_axum};

/// Clients that send requests until they are stopped, and count the answers.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    served: AtomicUsize,
    unavailable: AtomicUsize,
    other: AtomicUsize,
}

impl Load {
    async fn on(layer: GatewayLayer, session: &str) -> Self {
        let issuer = Issuer::new().unwrap();
        let address = on_axum(layer, &issuer).await;
        let token: Arc<str> = issuer.mint(session).unwrap().into();
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let clients = (0..4)
            .map(|_| {
                let (stop, counts, token) = (stop.clone(), counts.clone(), token.clone());
                tokio::spawn(async move {
                    let client = TestClient::http1();
                    while !stop.load(Ordering::Acquire) {
                        let count = match client.request_with_token(address, &token).await.status {
                            StatusCode::OK => &counts.served,
                            StatusCode::SERVICE_UNAVAILABLE => &counts.unavailable,
                            _ => &counts.other,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { stop, clients, counts }
    }

    fn served(&self) -> usize {
        self.counts.served.load(Ordering::Relaxed)
    }

    fn unavailable(&self) -> usize {
        self.counts.unavailable.load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for client in self.clients {
            client.await.unwrap();
        }
        assert_eq!(self.counts.other.load(Ordering::Relaxed), 0, "an outage is 503, never 401");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_server_denies_nothing_within_bound_and_is_followed_again() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let revocations = follow(&server).await;
    revoke(&publisher(&server).await, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    let load = Load::on(GatewayLayer::new(revocations.clone()), "good").await;
    eventually("clients are served", || load.served() > 50).await;

    server.kill();
    let before = load.served();
    eventually("clients are still served", || load.served() > before + 50).await;
    assert!(is_revoked(&revocations, "ar-1"));
    server.restart();
    revoke(&publisher(&server).await, "ar-2").await;
    eventually("ar-2 is revoked", || is_revoked(&revocations, "ar-2")).await;
    assert_eq!(load.unavailable(), 0);
    assert_eq!(revocations.horizon(), None, "with every write on disk nothing was lost");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_server_denies_beyond_the_bound_and_recovers() {
    let server = RedisServer::start();
    let revocations = follow_within(&server, Duration::from_secs(4)).await;
    let load = Load::on(GatewayLayer::new(revocations.clone()), "good").await;
    eventually("clients are served", || load.served() > 50).await;

    server.freeze();
    eventually("the view is beyond the bound", || {
        matches!(is_unknown(&revocations), Some(UnknownCause::Stale { .. }))
    })
    .await;
    eventually("clients get 503", || load.unavailable() > 50).await;

    server.thaw();
    eventually("the state is fresh again", || is_unknown(&revocations).is_none()).await;
    let before = load.served();
    eventually("clients are served again", || load.served() > before + 50).await;
    revoke(&publisher(&server).await, "ar-1").await;
    eventually("ar-1 is revoked", || is_revoked(&revocations, "ar-1")).await;
    load.end().await;
}

#[tokio::test]
async fn old_view_is_logged_before_requests_are_denied() {
    let logged = crate::errors::Logged::from_now();
    let server = RedisServer::start();
    let revocations = follow_within(&server, Duration::from_secs(4)).await;
    server.freeze();
    eventually("the view is beyond the bound", || is_unknown(&revocations).is_some()).await;
    assert_eq!(logged.lines_with("the view is getting old"), 1);
    server.thaw();
    eventually("its end is logged", || logged.lines_with("the view is fresh again") == 1).await;
    assert_eq!(logged.lines_with("the view is getting old"), 1);
}

#[tokio::test]
async fn outage_of_each_part_is_logged_once_per_end() {
    let logged = crate::errors::Logged::from_now();
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let revocations = Follower::new(server.settings(&ring())).with_receipts("r-1").spawn();
    let often = Duration::from_millis(200);
    let canary = Canary::new(&server.settings(&ring())).every(often).spawn();
    ready(&revocations).await;
    revoke(&publisher(&server).await, "ar-1").await;
    let stream = Stream::SessionsRevoke;
    add(&server, stream.name(), &[(b"sid", b"forged")]).await;
    eventually_dead(&server, stream, 1).await;
    eventually("a canary is seen", || canary.is_alive()).await;

    server.kill();
    let begun =
        ["receipts are not written", "a canary was not seen in time", "the streams cannot be read"];
    for line in begun {
        eventually(line, || logged.lines_with(line) > 0).await;
    }
    eventually("canaries are missed", || !canary.is_alive()).await;
    server.restart();
    add(&server, stream.name(), &[(b"sid", b"forged")]).await;
    eventually_dead(&server, stream, 2).await;
    let ended = [
        "receipts are being written again",
        "canaries are seen in time again",
        "the streams are being read again",
    ];
    for line in ended {
        eventually(line, || logged.lines_with(line) > 0).await;
    }
    for line in begun.into_iter().chain(ended) {
        assert_eq!(logged.lines_with(line), 1, "{line}");
    }
    assert_eq!(logged.lines_with("dead letters"), 0, "a reconnection is not logged");
}

#[tokio::test]
async fn restart_without_persistence_raises_the_horizon() {
    let mut server = RedisServer::start_with(&["--appendonly", "no"]);
    revoke(&publisher(&server).await, "ar-1").await;
    let revocations = follow(&server).await;
    assert_eq!(revocations.horizon(), None);
    server.kill();
    server.restart();
    eventually_horizon(&revocations).await;
    assert!(is_revoked(&revocations, "ar-1"));
    eventually("newer tokens are admitted", || is_admitted(&revocations, "ar-2")).await;
}

#[tokio::test]
async fn key_of_wrong_type_is_not_an_empty_stream() {
    let logged = crate::errors::Logged::from_now();
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    redis::cmd("SET")
        .arg("caracal.keys.invalidate")
        .arg("no stream")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let revocations = Follower::new(server.settings(&ring())).spawn();
    eventually("the key is named", || logged.lines_with("caracal.keys.invalidate") == 1).await;
    assert!(is_unknown(&revocations).is_some());
    redis::cmd("DEL").arg("caracal.keys.invalidate").exec_async(&mut connection).await.unwrap();
    crate::live::ready(&revocations).await;
}

#[tokio::test]
async fn follower_stops_on_shutdown() {
    let server = RedisServer::start();
    let follower = Follower::new(server.settings(&ring()));
    let revocations = follower.revocations();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(follower.run(async {
        let _ = stopped.await;
    }));
    crate::live::ready(&revocations).await;
    stop.send(()).unwrap();
    tokio::time::timeout(TIMEOUT, task).await.expect("the follower stops").unwrap();
    assert!(is_admitted(&revocations, "ar-1"), "the state answers until it is stale");
}
