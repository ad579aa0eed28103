//! One runner for each group: it takes over from a dead one, and ends without a loss.

use super::*;

const CHILD: &str = "CARACAL_TEST_EFFECTS_URL";

/// The runner that the next test kills.
#[tokio::test]
async fn child_runner() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let handler = async |delivery: Delivery| {
        println!("effect {}", session(&delivery));
        std::io::stdout().flush().unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    };
    let child = runner(&url).with_consumer("child");
    child.run(handler, std::future::pending()).await.unwrap();
}

#[tokio::test]
async fn killed_runner_loses_nothing_and_repeats_only_its_batch() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "effects::runners::child_runner", "--nocapture"])
        .env(CHILD, server.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut by_child =
        lines.filter_map(|line| line.split_once("effect ").map(|(_, session)| session.to_owned()));
    let done = Done::default();
    let slowly = {
        let done = done.clone();
        move |delivery: Delivery| {
            done.add(&delivery);
            async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            }
        }
    };
    let survivor =
        runner(&server.url()).with_consumer("survivor").with_claim_after(Duration::from_secs(8));
    let (end, task) = start(survivor, slowly);

    for n in 0..400 {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    let mut done_by_child: Vec<String> = by_child.by_ref().take(100).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let held = pending(&server).await.get("child").copied().unwrap_or_default();
    done_by_child.extend(by_child);

    let published: HashSet<String> = (0..400).map(|n| format!("ar-{n}")).collect();
    eventually("every effect ran", || {
        let all: HashSet<String> = done_by_child.iter().cloned().chain(done.all()).collect();
        all == published
    })
    .await;
    let mut nothing_pending = false;
    while !nothing_pending {
        tokio::time::sleep(Duration::from_millis(20)).await;
        nothing_pending = pending(&server).await.is_empty();
    }
    end.send(()).unwrap();
    task.await.unwrap();
    let by_survivor = done.all();
    let repeated = by_survivor.iter().filter(|session| done_by_child.contains(session)).count();
    assert_eq!(by_survivor.iter().collect::<HashSet<_>>().len(), by_survivor.len());
    assert!(held > 0, "the child was killed in the middle of a batch");
    assert!(repeated <= held, "{repeated} repeated, {held} were pending");
    assert!(!by_survivor.is_empty() && done_by_child.len() >= 100);
}

#[tokio::test]
async fn joins_group_in_use_only_on_request() {
    let server = RedisServer::start();
    provision(&server).await;
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATECONSUMER").arg(STREAM.name()).arg(GROUP).arg("sts-7f9c");
    command.exec_async(&mut server.connection().await).await.unwrap();
    let runner = || EffectRunner::new(&server.settings(&ring()), STREAM, GROUP);
    let nothing = async |_: Delivery| Ok(());
    let error = runner().run(nothing, std::future::ready(())).await.unwrap_err();
    assert!(error.is_in_use() && error.to_string().contains("join_existing"), "{error}");
    runner().join_existing().run(nothing, std::future::ready(())).await.unwrap();
    let other = EffectRunner::new(&server.settings(&ring()), STREAM, "a-group-of-our-own");
    other.run(nothing, std::future::ready(())).await.unwrap();
}

#[tokio::test]
async fn creates_no_stream_in_published_mode() {
    let server = RedisServer::start();
    let published = settings_in("stable", &server.url(), &ring());
    let runner = EffectRunner::new(&published, STREAM, GROUP);
    let error = runner
        .run(recording(&Done::default()), std::future::ready(()))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("REDIS_URL") && error.contains(STREAM.name()), "{error}");
    let mut connection = server.connection().await;
    let there: u64 =
        redis::cmd("EXISTS").arg(STREAM.name()).query_async(&mut connection).await.unwrap();
    assert_eq!(there, 0, "a follower must still find no stream");

    provision(&server).await;
    let runner = EffectRunner::new(&published, STREAM, "a-group-of-our-own");
    runner.run(recording(&Done::default()), std::future::ready(())).await.unwrap();
}

#[tokio::test]
async fn admits_at_most_one_of_two_simultaneous_runners() {
    let server = RedisServer::start();
    provision(&server).await;
    for _ in 0..10 {
        let start = |name: &str| {
            let runner = EffectRunner::new(&server.settings(&ring()), STREAM, GROUP);
            let runner = runner.with_consumer(name);
            tokio::spawn(runner.run(recording(&Done::default()), std::future::pending()))
        };
        let (one, two) = (start("one"), start("two"));
        eventually("one of the runners is rejected", || one.is_finished() || two.is_finished())
            .await;
        for task in [one, two] {
            task.abort();
            if let Ok(outcome) = task.await {
                assert!(outcome.unwrap_err().is_in_use());
            }
        }
        for name in ["one", "two"] {
            let mut command = redis::cmd("XGROUP");
            command.arg("DELCONSUMER").arg(STREAM.name()).arg(GROUP).arg(name);
            command.exec_async(&mut server.connection().await).await.unwrap();
        }
    }
}

#[tokio::test]
async fn dead_runner_does_not_block_the_next() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let hung = |done: &Done| {
        let done = done.clone();
        move |delivery: Delivery| {
            done.add(&delivery);
            std::future::pending()
        }
    };
    let runner = || EffectRunner::new(&server.settings(&ring()), STREAM, GROUP);
    let begun = Done::default();
    let died = tokio::spawn(runner().run(hung(&begun), std::future::pending()));
    for n in 0..10 {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    eventually("the runner has started an effect", || !begun.all().is_empty()).await;
    died.abort();
    let _ = died.await;
    let done = Done::default();
    let early = runner().run(recording(&done), std::future::ready(())).await;
    assert!(early.unwrap_err().is_in_use(), "a consumer may be alive for 30 s");
    let held = pending(&server).await.values().sum::<usize>();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next = runner().with_claim_after(Duration::from_millis(10));
    let (end, task) = start(next, recording(&done));
    eventually("all effects ran", || done.all().len() >= 10).await;
    end.send(()).unwrap();
    task.await.unwrap();
    let all: HashSet<_> = done.all().into_iter().collect();
    assert_eq!((all.len(), done.all().len()), (10, 10));
    assert!(held >= 1, "the pending entry was claimed");
    assert!(pending(&server).await.is_empty());
}

#[tokio::test]
async fn redis_restart_loses_no_effect() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    provision(&server).await;
    let done = Done::default();
    let runner = runner(&server.url()).with_claim_after(Duration::from_millis(500));
    let (end, task) = start(runner, recording(&done));
    let before = publisher(&server).await;
    for n in 0..50 {
        revoke(&before, &format!("ar-{n}")).await;
    }
    server.kill();
    server.restart();
    let after = publisher(&server).await;
    for n in 50..100 {
        revoke(&after, &format!("ar-{n}")).await;
    }
    let published: HashSet<String> = (0..100).map(|n| format!("ar-{n}")).collect();
    eventually("every effect ran", || done.all().into_iter().collect::<HashSet<_>>() == published)
        .await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(pending(&server).await.is_empty());
}

#[tokio::test]
async fn recreates_group_after_flush() {
    let server = RedisServer::start();
    provision(&server).await;
    let done = Done::default();
    // Reads must restore the group: claims come only every 100 s.
    let runner = runner(&server.url()).with_claim_after(Duration::from_secs(600));
    let (end, task) = start(runner, recording(&done));
    let publisher = publisher(&server).await;
    revoke(&publisher, "before").await;
    eventually("the first effect ran", || done.all() == ["before"]).await;
    redis::cmd("FLUSHALL").exec_async(&mut server.connection().await).await.unwrap();
    revoke(&publisher, "after").await;
    eventually("the second effect ran", || done.all().contains(&"after".to_owned())).await;
    end.send(()).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn shutdown_finishes_delivered_messages_and_leaves_group() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    for n in 0..20 {
        revoke(&publisher, &format!("ar-{n}")).await;
    }
    let done = Done::default();
    let noted = done.clone();
    let handler = move |delivery: Delivery| {
        noted.add(&delivery);
        async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        }
    };
    let (end, task) = start(runner(&server.url()), handler);
    eventually("the runner has started an effect", || !done.all().is_empty()).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(done.all().len(), 20);
    assert!(pending(&server).await.is_empty());
    let mut command = redis::cmd("XINFO");
    command.arg("CONSUMERS").arg(STREAM.name()).arg(GROUP);
    let consumers: Vec<redis::Value> =
        command.query_async(&mut server.connection().await).await.unwrap();
    assert!(consumers.is_empty());
}

#[tokio::test]
async fn hung_handler_does_not_block_shutdown() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let begun = Done::default();
    let hung = {
        let begun = begun.clone();
        move |delivery: Delivery| {
            begun.add(&delivery);
            std::future::pending()
        }
    };
    let (end, task) = start(runner(&server.url()), hung);
    for session in ["ar-1", "ar-2"] {
        revoke(&publisher, session).await;
    }
    eventually("the handler hangs", || begun.all() == ["ar-1"]).await;
    end.send(()).unwrap();
    tokio::time::timeout(crate::live::TIMEOUT, task).await.expect("the runner ends").unwrap();
    assert_eq!(begun.all(), ["ar-1"], "no further effect was started");
    let done = Done::default();
    let next = runner(&server.url()).with_claim_after(Duration::from_millis(10));
    let (end, task) = start(next, recording(&done));
    eventually("both effects ran", || done.all().len() == 2).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert!(pending(&server).await.is_empty());
}

#[tokio::test]
async fn dedup_runs_one_effect_per_outbox_id() {
    let server = RedisServer::start();
    provision(&server).await;
    let publisher = publisher(&server).await;
    let message = |session: &str, outbox_id: &str| {
        MessageBuilder::revoke(ZONE, "operator").session(session).with("outbox_id", outbox_id)
    };
    let (one, two) =
        ("0198b0c2-7d10-7a11-8f00-000000000001", "0198b0c2-7d10-7a11-8f00-000000000002");
    let done = Done::default();
    for round in 0..2 {
        let (end, task) = start(runner(&server.url()).with_dedup(), recording(&done));
        publisher.publish(message("once", one)).await.unwrap();
        publisher.publish(message("once", one)).await.unwrap();
        let last = format!("last-{round}");
        revoke(&publisher, &last).await;
        eventually("the last effect ran", || done.all().contains(&last)).await;
        end.send(()).unwrap();
        task.await.unwrap();
    }
    publisher.publish(message("other", two)).await.unwrap();
    assert_eq!(done.all(), ["once", "last-0", "last-1"]);
}

#[tokio::test]
async fn runs_effects_on_in_process_streams() {
    let streams = InProcess::new();
    let done = Done::default();
    let runner = EffectRunner::in_process(&streams, ring(), STREAM, GROUP);
    let (end, task) = start(runner, recording(&done));
    let publisher = Publisher::in_process(&streams, Some(key(1)));
    revoke(&publisher, "ar-1").await;
    publisher.publish(MessageBuilder::keys(ZONE)).await.unwrap();
    revoke(&publisher, "ar-2").await;
    eventually("both effects ran", || done.all() == ["ar-1", "ar-2"]).await;
    end.send(()).unwrap();
    task.await.unwrap();
}
