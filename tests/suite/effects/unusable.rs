//! Messages that cannot be used: unsigned, without an anchor, trimmed.

use super::*;

#[tokio::test]
async fn unverified_message_is_dead_lettered_at_once() {
    let server = RedisServer::start();
    provision(&server).await;
    let done = Done::default();
    let (end, task) = start(runner(&server.url()), recording(&done));
    let forger = Publisher::connect(&server.settings(&KeyRing::new(key(9)))).await.unwrap();
    let publisher = publisher(&server).await;
    revoke(&publisher, "the key is right").await;
    revoke(&forger, "forged").await;
    revoke(&publisher, "good").await;
    eventually("both valid messages have their effect", || {
        done.all() == ["the key is right", "good"]
    })
    .await;
    let letters = dead_letters(&server).await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0]["error"].contains("signature"), "{letters:?}");
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(pending(&server).await.is_empty());
}

/// Adds two unsigned messages, one without an anchor, and one that was re-split.
async fn add_unusable(server: &RedisServer) {
    for session in [b"forged-1", b"forged-2"] {
        add(server, STREAM.name(), &[(b"sid", session)]).await;
    }
    add_signed(server, STREAM, STREAM, &[("zone_id", "z"), ("reason", "no anchor")]).await;
    add_signed(server, STREAM, STREAM, &[("sid", "clean"), ("edge_id", "un\nclean")]).await;
}

#[tokio::test]
async fn unusable_message_has_one_dead_letter_in_a_fleet() {
    let server = RedisServer::start();
    provision(&server).await;
    let fleet = [follow(&server).await, follow(&server).await];
    let done = [Done::default(), Done::default()];
    let runners = done.each_ref().map(|done| start(runner(&server.url()), recording(done)));
    let publisher = publisher(&server).await;
    // Each runner must first see that its key is right.
    while done.iter().any(|done| done.all().is_empty()) {
        revoke(&publisher, "good").await;
    }
    for _ in 0..20 {
        add_unusable(&server).await;
    }
    for revocations in &fleet {
        caught_up(revocations, &publisher).await;
    }
    let last = add(&server, STREAM.name(), &[(b"sid", b"the last")]).await;
    // Wait until a follower has written the last dead letter and no entry is pending.
    let start = std::time::Instant::now();
    loop {
        let mut get = redis::cmd("GET");
        get.arg(format!("{{{STREAM}.dead}}:mark"));
        let mark: Option<String> = get.query_async(&mut server.connection().await).await.unwrap();
        let is_last = mark.is_some_and(|mark| mark.starts_with(&last));
        if is_last && pending(&server).await.is_empty() {
            break;
        }
        assert!(start.elapsed() < crate::live::TIMEOUT, "not all dead letters were written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (end, task) in runners {
        end.send(()).unwrap();
        task.await.unwrap();
    }
    let letters = dead_letters(&server).await;
    let ids: HashSet<_> = letters.iter().map(|letter| &letter["original_id"]).collect();
    assert_eq!((ids.len(), letters.len()), (81, 81));
}

#[tokio::test]
async fn flood_of_forgeries_is_logged_once() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    provision(&server).await;
    let done = Done::default();
    let (end, task) = start(runner(&server.url()), recording(&done));
    let publisher = publisher(&server).await;
    revoke(&publisher, "the key is right").await;
    for _ in 0..50 {
        add(&server, STREAM.name(), &[(b"sid", b"forged")]).await;
    }
    revoke(&publisher, "good").await;
    eventually("the effect of the message after the flood", || {
        done.all().contains(&"good".to_owned())
    })
    .await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(dead_letters(&server).await.len(), 50);
    assert_eq!(logged.lines("ERROR").len(), 1, "{:?}", logged.lines("ERROR"));
}

#[tokio::test]
async fn forgery_without_dead_letter_delays_no_effect() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    provision(&server).await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("runner").arg("on").arg(">secret").arg("+@all");
    user.arg(format!("~{STREAM}"));
    user.exec_async(&mut server.connection().await).await.unwrap();
    let publisher = publisher(&server).await;
    revoke(&publisher, "the key is right").await;
    for n in 0..5 {
        add(&server, STREAM.name(), &[(b"sid", b"forged")]).await;
        revoke(&publisher, &format!("good-{n}")).await;
    }
    let done = Done::default();
    let url = format!("redis://runner:secret@127.0.0.1:{}", server.port());
    let (end, task) = start(runner(&url), recording(&done));
    eventually("all effects ran", || done.all().len() == 6).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(
        pending(&server).await.values().sum::<usize>(),
        5,
        "another runner may write their dead letters"
    );
    let lines = logged.lines("NOPERM");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(caracal_revocation::admin::acl::DEAD_LETTERS), "{lines:?}");
}

#[tokio::test]
async fn pending_message_that_was_trimmed_is_reported() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let trimmed = [revoke(&publisher, "gone-1").await, revoke(&publisher, "gone-2").await];
    revoke(&publisher, "kept").await;
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg("sts-that-died").arg("STREAMS").arg(STREAM.name()).arg(">");
    let mut trim = redis::cmd("XTRIM");
    trim.arg(STREAM.name()).arg("MAXLEN").arg(1);
    let mut connection = server.connection().await;
    read.exec_async(&mut connection).await.unwrap();
    trim.exec_async(&mut connection).await.unwrap();

    let done = Done::default();
    let runner = runner(&server.url()).with_claim_after(Duration::from_millis(10));
    let (end, task) = start(runner, recording(&done));
    eventually("the effect of the remaining message", || done.all() == ["kept"]).await;
    let mut letters = dead_letters(&server).await;
    let begun = std::time::Instant::now();
    while letters.len() < 2 {
        assert!(begun.elapsed() < crate::live::TIMEOUT, "{letters:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        letters = dead_letters(&server).await;
    }
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(pending(&server).await.is_empty());
    let letters = dead_letters(&server).await;
    let ids: HashSet<_> = letters.iter().map(|letter| letter["original_id"].clone()).collect();
    assert_eq!(ids, trimmed.map(|id| id.to_string()).into());
    assert!(letters.iter().all(|letter| letter["error"].starts_with("trimmed")), "{letters:?}");
    let lines = logged.lines("trimmed");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("ERROR") && lines[0].contains("sts-revocation"), "{lines:?}");
}

#[tokio::test]
async fn messages_stay_pending_while_none_verifies() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    // More messages than one claim takes.
    let sessions: HashSet<String> = (0..150).map(|n| format!("ar-{n}")).collect();
    for session in &sessions {
        revoke(&publisher, session).await;
    }
    let wrong = EffectRunner::new(&settings(&server.url(), &KeyRing::new(key(9))), STREAM, GROUP);
    let (end, task) = start(wrong.with_consumer("wrong"), recording(&Done::default()));
    let start_of_wait = std::time::Instant::now();
    while pending(&server).await.get("wrong") != Some(&150) {
        assert!(start_of_wait.elapsed() < crate::live::TIMEOUT, "the messages are never delivered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(dead_letters(&server).await.is_empty());
    assert_eq!(pending(&server).await["wrong"], 150, "nothing was acknowledged");

    // A runner with the right key claims the messages.
    let done = Done::default();
    let right = runner(&server.url()).with_claim_after(Duration::from_millis(50));
    let (end, task) = start(right, recording(&done));
    eventually("all are handled", || done.all().into_iter().collect::<HashSet<_>>() == sessions)
        .await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(dead_letters(&server).await.is_empty());
}
