//! Messages that are too large, and answers that are cut.

use super::*;

/// Puts an unsigned message of this size on the stream.
async fn add_large(server: &RedisServer, bytes: usize) -> String {
    add(server, STREAM.name(), &[(b"sid", b"large"), (b"note", &vec![b'x'; bytes])]).await
}

async fn revoke_with_note(server: &RedisServer, session: &str, bytes: usize) {
    let note = "x".repeat(bytes);
    let fields = [("zone_id", ZONE), ("session_id", session), ("reason", &note)];
    add_signed(server, STREAM, STREAM, &fields).await;
}

async fn limit_answers(server: &RedisServer, limit: &str) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("client-output-buffer-limit").arg(format!("normal {limit} 0 0"));
    set.exec_async(&mut server.connection().await).await.unwrap();
}

#[tokio::test]
async fn rejects_message_too_large_and_goes_on() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    provision(&server).await;
    let large = add_large(&server, 12 << 20).await;
    revoke(&publisher(&server).await, "good").await;
    let done = Done::default();
    let (end, task) = start(runner(&server.url()), recording(&done));
    eventually("the effect behind it", || done.all() == ["good"]).await;
    while !pending(&server).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    end.send(()).unwrap();
    task.await.unwrap();
    let letters = dead_letters(&server).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["original_id"], &*letters[0]["values"]), (&large, "null"));
    assert!(letters[0]["error"].starts_with("too_large: "), "{letters:?}");
}

#[tokio::test]
async fn rejects_message_too_large_on_a_slow_line() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    provision(&server).await;
    add_large(&server, 12 << 20).await;
    revoke(&publisher(&server).await, "good").await;
    let proxy = Proxy::to(server.port()).await;
    proxy.throttle(3_000_000);
    let done = Done::default();
    let (end, task) = start(runner(&proxy.url()), recording(&done));
    eventually("the effect behind it", || done.all() == ["good"]).await;
    end.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn finds_again_what_a_cut_answer_delivered() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    provision(&server).await;
    for n in 0..40 {
        revoke_with_note(&server, &format!("ar-{n}"), 100_000).await;
    }
    limit_answers(&server, "1mb").await;
    let done = Done::default();
    let (end, task) = start(runner(&server.url()), recording(&done));
    let expected: Vec<_> = (0..40).map(|n| format!("ar-{n}")).collect();
    eventually("every effect", || done.all() == expected).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(pending(&server).await.is_empty());
}

/// A message of this size is let through by nobody on its way, so its effect is never lost: it
/// stays pending until the limit is raised.
#[tokio::test]
async fn skips_unreadable_message_and_keeps_it_pending() {
    let (logged, _until_the_end) = Logged::begin();
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    provision(&server).await;
    revoke_with_note(&server, "large", 3 << 20).await;
    for n in 0..3 {
        revoke_with_note(&server, &format!("ar-{n}"), 100).await;
    }
    limit_answers(&server, "1mb").await;
    let done = Done::default();
    let runner = runner(&server.url()).with_claim_after(Duration::from_secs(2));
    let (end, task) = start(runner, recording(&done));
    eventually("the effects behind it", || done.all() == ["ar-0", "ar-1", "ar-2"]).await;
    assert_eq!(pending(&server).await.values().sum::<usize>(), 1);
    let lines = logged.lines("ERROR");
    assert_eq!(lines.iter().filter(|line| line.contains("cannot be read whole")).count(), 1);
    limit_answers(&server, "0").await;
    eventually("its own effect", || done.all().contains(&"large".to_owned())).await;
    end.send(()).unwrap();
    task.await.unwrap();
}
