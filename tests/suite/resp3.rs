//! `REDIS_URL` with `protocol=resp3`: every part works as with RESP2.

use caracal_revocation::admin::{Inspector, KeyReport};
use caracal_revocation::effects::{Delivery, EffectRunner};
use caracal_revocation::wire::{Stream, StreamId};
use caracal_revocation::{Follower, Publisher, Settings};

use crate::delivery::add;
use crate::live::{caught_up, eventually, ready, revoke, ring};
use crate::redis_server::{RedisServer, settings};

fn resp3(server: &RedisServer) -> Settings {
    settings(&format!("{}/0?protocol=resp3", server.url()), &ring())
}

#[tokio::test]
async fn inspects_and_provisions_with_resp3() {
    let server = RedisServer::start();
    let settings = resp3(&server);
    let publisher = Publisher::connect(&settings).await.unwrap();
    let id = revoke(&publisher, "ar-1").await;
    let mut inspector = Inspector::connect(&settings).await.unwrap();
    inspector.provision().await.unwrap();
    assert!(inspector.verify().await.unwrap().iter().all(|stream| stream.is_complete()));
    let stream = Stream::SessionsRevoke.name();
    let KeyReport::Stream(report) = inspector.stream(stream).await.unwrap() else { panic!() };
    assert_eq!((report.length, report.last), (1, id));
    let groups = inspector.groups(stream, &report).await.unwrap();
    assert_eq!(groups[0].name, "sts-revocation");
    let entries = inspector.entries(stream, StreamId::ZERO, 10).await.unwrap();
    assert!(entries[0].fields.contains(&(b"session_id".to_vec(), b"ar-1".to_vec())));
    let persistence = inspector.server().await.unwrap().persistence;
    assert!(persistence.iter().all(|setting| setting.live.is_some()), "{persistence:?}");
    assert!(inspector.rights().await.unwrap().iter().all(|right| right.held));
}

#[tokio::test]
async fn followers_and_effects_work_with_resp3() {
    let server = RedisServer::start();
    let settings = resp3(&server);
    let publisher = Publisher::connect(&settings).await.unwrap();
    let revocations = Follower::new(settings.clone()).with_receipts("gw-1").spawn();
    ready(&revocations).await;
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |delivery: Delivery| {
        let _ = sender.send(delivery.id());
        std::future::ready(Ok(()))
    };
    let runner = EffectRunner::new(&settings, Stream::SessionsRevoke, "group");
    let work = tokio::spawn(runner.run(handler, std::future::pending()));
    let start = std::time::Instant::now();
    loop {
        revoke(&publisher, "ar-1").await;
        let wait = std::time::Duration::from_millis(100);
        if tokio::time::timeout(wait, done.recv()).await.is_ok() {
            break;
        }
        assert!(!work.is_finished() && start.elapsed() < crate::live::TIMEOUT, "no effect");
    }
    caught_up(&revocations, &publisher).await;
    let canary = caracal_revocation::stream::Canary::new(&settings).spawn();
    eventually("a canary is seen", || canary.is_alive()).await;
    add(&server, Stream::SessionsRevoke.name(), &[(b"sid", b"forged")]).await;
    let mut inspector = Inspector::connect(&settings).await.unwrap();
    let dead = format!("{}.dead", Stream::SessionsRevoke);
    let start = std::time::Instant::now();
    while inspector.entries(&dead, StreamId::ZERO, 10).await.unwrap().is_empty() {
        assert!(start.elapsed() < crate::live::TIMEOUT, "no dead letter");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(inspector.receipts().await.unwrap().len(), 1);
}
