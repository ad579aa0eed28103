//! Effects that must happen once per fleet, on a real Redis.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caracal_revocation::effects::{Delivery, EffectFailure, EffectRunner};
use caracal_revocation::wire::{Change, KeyRing, MessageBuilder, Stream};
use caracal_revocation::{InProcess, Publisher};
use tokio::sync::{Semaphore, oneshot};

use crate::delivery::{add, add_signed};
use crate::live::{ZONE, eventually, key, publisher, revoke, ring};
use crate::live::{caught_up, follow};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings, settings_in};
use crate::snapshot::Logged;

const STREAM: Stream = Stream::SessionsRevoke;
const GROUP: &str = "sts-revocation";

/// The sessions that a handler processed, in order.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn add(&self, delivery: &Delivery) {
        self.0.lock().unwrap().push(session(delivery));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn session(delivery: &Delivery) -> String {
    match delivery.changes() {
        [Change::Revoke(anchor)] => anchor.to_string(),
        other => panic!("{other:?}"),
    }
}

fn runner(url: &str) -> EffectRunner {
    EffectRunner::new(&settings(url, &ring()), STREAM, GROUP).join_existing()
}

/// Creates the group as the provisioner does.
async fn provision(server: &RedisServer) {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(STREAM.name()).arg(GROUP).arg("$").arg("MKSTREAM");
    command.exec_async(&mut server.connection().await).await.unwrap();
}

/// Starts a runner. Send to the first value to stop it, then await the second.
fn start<F>(
    runner: EffectRunner,
    handler: impl Fn(Delivery) -> F + Send + Sync + 'static,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>)
where
    F: Future<Output = Result<(), EffectFailure>> + Send,
{
    let (end, ended) = oneshot::channel();
    let shutdown = async {
        let _ = ended.await;
    };
    let task = tokio::spawn(async move { runner.run(handler, shutdown).await.unwrap() });
    (end, task)
}

fn recording(
    done: &Done,
) -> impl Fn(Delivery) -> std::future::Ready<Result<(), EffectFailure>> + use<> {
    let done = done.clone();
    move |delivery| {
        done.add(&delivery);
        std::future::ready(Ok(()))
    }
}

/// Counts the pending entries by consumer.
async fn pending(server: &RedisServer) -> HashMap<String, usize> {
    let mut command = redis::cmd("XPENDING");
    command.arg(STREAM.name()).arg(GROUP).arg("-").arg("+").arg(10_000);
    let rows: Vec<(String, String, u64, u64)> =
        command.query_async(&mut server.connection().await).await.unwrap();
    rows.into_iter().fold(HashMap::new(), |mut all, (_, consumer, _, _)| {
        *all.entry(consumer).or_default() += 1;
        all
    })
}

async fn dead_letters(server: &RedisServer) -> Vec<HashMap<String, String>> {
    let mut command = redis::cmd("XRANGE");
    command.arg(format!("{STREAM}.dead")).arg("-").arg("+");
    let rows: Vec<(String, HashMap<String, String>)> =
        command.query_async(&mut server.connection().await).await.unwrap();
    rows.into_iter().map(|(_, fields)| fields).collect()
}

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
        .args(["--exact", "effects::child_runner", "--nocapture"])
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
