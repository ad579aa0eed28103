//! Handlers that fail: they run again, and their message ends as a dead letter.

use super::*;

/// Returns a counter of failed attempts and its remaining lifetime in seconds.
async fn counter(server: &RedisServer, key: &str) -> (Option<u32>, i64) {
    let mut pipeline = redis::pipe();
    pipeline.get(key).ttl(key);
    pipeline.query_async(&mut server.connection().await).await.unwrap()
}

#[tokio::test]
async fn five_failed_attempts_write_one_signed_dead_letter() {
    let server = RedisServer::start();
    provision(&server).await;
    let done = Done::default();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let (tried, noted) = (Arc::clone(&attempts), done.clone());
    let looked = Arc::new(Semaphore::new(0));
    let look = Arc::clone(&looked);
    let handler = move |delivery: Delivery| {
        let bad = session(&delivery) == "bad";
        if bad {
            tried.lock().unwrap().push(delivery.attempt());
        } else {
            noted.add(&delivery);
        }
        let look = Arc::clone(&look);
        async move {
            if delivery.attempt() == 3 {
                look.acquire().await.unwrap().forget();
            }
            if bad { Err(EffectFailure::Failed("no such row".into())) } else { Ok(()) }
        }
    };
    let (end, task) = start(runner(&server.url()), handler);
    let publisher = publisher(&server).await;
    let id = revoke(&publisher, "bad").await;
    revoke(&publisher, "good").await;
    eventually("the other effect ran", || done.all() == ["good"]).await;
    eventually("the third attempt", || attempts.lock().unwrap().len() == 3).await;
    let key_of_the_sts = format!("stream-failure:{STREAM}:{id}");
    let (count, ttl) = counter(&server, &key_of_the_sts).await;
    assert_eq!(count, Some(2));
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    looked.add_permits(1);
    let mut letters = Vec::new();
    while letters.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        letters = dead_letters(&server).await;
    }
    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(*attempts.lock().unwrap(), [1, 2, 3, 4, 5]);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter["original_id"], id.to_string());
    assert_eq!(letter["error"], "no such row");
    let values: HashMap<String, String> = serde_json::from_str(&letter["values"]).unwrap();
    assert_eq!((values["session_id"].as_str(), values["zone_id"].as_str()), ("bad", ZONE));
    let mut fields: Vec<_> = letter.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
    caracal_revocation::internal::sign_dead_letter(&key(1), STREAM, &mut fields);
    assert!(
        fields.contains(&("_sig".to_owned(), letter["_sig"].clone())),
        "signed like any message"
    );
    assert_eq!(counter(&server, &key_of_the_sts).await.0, None, "its counter is deleted");
    assert!(pending(&server).await.is_empty());
}

#[tokio::test]
async fn shares_attempt_counters_with_the_fleet() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let own = || EffectRunner::new(&server.settings(&ring()), STREAM, "a-group-of-our-own");
    own().run(recording(&Done::default()), std::future::ready(())).await.unwrap();
    let id = revoke(&publisher, "bad").await;
    // Four attempts of another program's STS, and three of another group.
    let mut pipeline = redis::pipe();
    pipeline.set(format!("stream-failure:{STREAM}:{id}"), 4);
    pipeline.set(format!("stream-failure:{STREAM}:gateway-revocation:host:{id}"), 3);
    pipeline.exec_async(&mut server.connection().await).await.unwrap();
    let failing = |tries: &Arc<Mutex<u32>>| {
        let tries = Arc::clone(tries);
        move |_: Delivery| {
            *tries.lock().unwrap() += 1;
            std::future::ready(Err(EffectFailure::Failed("no".into())))
        }
    };
    for (runner, expected) in [(runner(&server.url()), 1), (own(), 5)] {
        let tries = Arc::default();
        let before = dead_letters(&server).await.len();
        let (end, task) = start(runner, failing(&tries));
        while dead_letters(&server).await.len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        end.send(()).unwrap();
        task.await.unwrap();
        assert_eq!(*tries.lock().unwrap(), expected);
    }
    let gateways = format!("stream-failure:{STREAM}:gateway-revocation:host:{id}");
    assert_eq!(counter(&server, &gateways).await.0, Some(3));
}

#[tokio::test]
async fn dead_lettered_message_runs_when_published_again() {
    let server = RedisServer::start();
    provision(&server).await;
    let done = Done::default();
    let noted = done.clone();
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let handler = move |delivery: Delivery| {
        let outcome = if mended.load(Ordering::SeqCst) {
            noted.add(&delivery);
            Ok(())
        } else {
            Err(EffectFailure::Failed("a bug".into()))
        };
        std::future::ready(outcome)
    };
    let (end, task) = start(runner(&server.url()).with_dedup(), handler);
    let publisher = publisher(&server).await;
    let message = MessageBuilder::revoke(ZONE, "operator").session("ar-1");
    let message = message.with("outbox_id", "0198b0c2-7d10-7a11-8f00-000000000001");
    publisher.publish(message.clone()).await.unwrap();
    while dead_letters(&server).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    is_mended.store(true, Ordering::SeqCst);
    publisher.publish(message).await.unwrap();
    eventually("the effect runs", || done.all() == ["ar-1"]).await;
    end.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn retries_temporary_failure_until_it_succeeds() {
    let server = RedisServer::start();
    provision(&server).await;
    let attempts = Arc::new(Mutex::new(0));
    let count = Arc::clone(&attempts);
    let handler = move |_: Delivery| {
        let attempt = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        async move {
            if attempt < 7 { Err(EffectFailure::Unavailable("database".into())) } else { Ok(()) }
        }
    };
    let (end, task) = start(runner(&server.url()), handler);
    revoke(&publisher(&server).await, "ar-1").await;
    eventually("the seventh attempt", || *attempts.lock().unwrap() >= 7).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(dead_letters(&server).await.is_empty());
    assert!(pending(&server).await.is_empty());
}
