//! Large messages, responses that are cut at a size, and slow links.

use std::collections::HashMap;

use caracal_revocation::internal::sign;
use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Revocations};

use crate::delivery::add;
use crate::errors::Logged;
use crate::live::{
    caught_up, eventually, is_admitted, is_revoked, key, publisher, ready, revoke, ring,
};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings};

const MEGABYTE: usize = 1 << 20;

fn server() -> RedisServer {
    RedisServer::start_with(&["--appendonly", "no"])
}

/// Adds an unsigned message of this size to a stream.
async fn add_large(server: &RedisServer, stream: Stream, bytes: usize) {
    add(server, stream.name(), &[(b"sid", b"large"), (b"note", &vec![b'x'; bytes])]).await;
}

/// Publishes `count` revocations of about `bytes` each.
async fn publish(server: &RedisServer, count: usize, bytes: usize) {
    let reason = "x".repeat(bytes);
    let mut commands = redis::pipe();
    for n in 0..count {
        let mut fields =
            vec![("session_id".to_owned(), format!("ar-{n}")), ("reason".into(), reason.clone())];
        sign(&key(1), Stream::SessionsRevoke, &mut fields);
        let add = commands.cmd("XADD").arg(Stream::SessionsRevoke.name()).arg("*");
        for (name, value) in &fields {
            add.arg(name).arg(value);
        }
        add.ignore();
    }
    commands.exec_async(&mut server.connection().await).await.unwrap();
}

/// Returns the number of calls of each command.
async fn calls(server: &RedisServer) -> HashMap<String, u64> {
    let mut info = redis::cmd("INFO");
    let stats: String =
        info.arg("commandstats").query_async(&mut server.connection().await).await.unwrap();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(line).collect()
}

async fn limit_answers(server: &RedisServer, limit: &str) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("client-output-buffer-limit").arg(format!("normal {limit} 0 0"));
    set.exec_async(&mut server.connection().await).await.unwrap();
}

fn follow(url: &str) -> Revocations {
    Follower::new(settings(url, &ring())).spawn()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_first_entry_does_not_slow_the_replay() {
    let server = server();
    add_large(&server, Stream::DelegationsInvalidate, 9 * MEGABYTE).await;
    publish(&server, 5_000, 10).await;
    let revocations = follow(&server.url());
    ready(&revocations).await;
    let calls = calls(&server).await;
    assert_eq!(revocations.entries(), 5_000);
    assert!(calls["xread"] < 200, "{calls:?}");
    assert!(calls["xinfo|stream"] < 500, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_too_large_is_rejected_by_name_and_read_past() {
    let logged = Logged::from_now();
    let server = server();
    let revocations = follow(&server.url());
    let publisher = publisher(&server).await;
    caught_up(&revocations, &publisher).await;
    for _ in 0..3 {
        add_large(&server, Stream::SessionsRevoke, 6 * MEGABYTE).await;
        caught_up(&revocations, &publisher).await;
    }
    assert!(!is_revoked(&revocations, "large"));
    assert_eq!(revocations.horizon(), None, "the counts match");
    assert!(is_admitted(&revocations, "anybody"));
    assert_eq!(logged.lines_with("message too large"), 1, "logged once, not per message");
    assert!(logged.lines_with("stream=caracal.sessions.revoke") > 0);
    let dead = format!("{}.dead", Stream::SessionsRevoke);
    let mut connection = server.connection().await;
    let mut letters = Vec::<(String, HashMap<String, String>)>::new();
    while letters.len() < 3 {
        let mut range = redis::cmd("XRANGE");
        letters = range.arg(&dead).arg("-").arg("+").query_async(&mut connection).await.unwrap();
    }
    for (_, letter) in letters {
        assert_eq!(letter["values"], "null");
        assert!(letter["error"].starts_with("too_large: "), "{letter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_covers_a_message_too_large_to_be_verified() {
    let server = server();
    let follower = Follower::new(settings(&server.url(), &ring()))
        .with_writer(RevocationsWriter::new(Options::strict()));
    let revocations = follower.spawn();
    ready(&revocations).await;
    let before = revocations.horizon();
    // The horizon of the start may lie seconds ahead, if a busy machine answered late.
    for _ in 0..30 {
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        if revocations.horizon() > before {
            return;
        }
        add_large(&server, Stream::SessionsRevoke, 6 * MEGABYTE).await;
    }
    panic!("the horizon does not rise above {before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_less_under_an_output_buffer_limit() {
    let server = server();
    publish(&server, 600, 20_000).await;
    limit_answers(&server, "1mb").await;
    let revocations = follow(&server.url());
    ready(&revocations).await;
    assert_eq!(revocations.entries(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_one_stream_at_a_time_under_a_limit() {
    let server = server();
    for stream in [Stream::SessionsRevoke, Stream::DelegationsInvalidate] {
        add_large(&server, stream, 700_000).await;
    }
    publish(&server, 100, 10).await;
    limit_answers(&server, "1mb").await;
    let revocations = follow(&server.url());
    ready(&revocations).await;
    assert_eq!((revocations.entries(), revocations.horizon()), (100, None));
    let publisher = publisher(&server).await;
    caught_up(&revocations, &publisher).await;
    assert!(is_admitted(&revocations, "anybody"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_the_stream_whose_smallest_answer_is_cut() {
    let logged = Logged::from_now();
    let server = server();
    add_large(&server, Stream::AgentsLifecycle, 2 * MEGABYTE).await;
    publish(&server, 1, 10).await;
    limit_answers(&server, "1mb").await;
    let revocations = follow(&server.url());
    let message = "the smallest answer about this stream does not arrive whole";
    eventually("the stream is logged", || logged.lines_with(message) > 0).await;
    assert!(logged.lines_with("XINFO STREAM caracal.agents.lifecycle") > 0);
    assert!(!is_admitted(&revocations, "anybody"), "no completeness is proven");
    limit_answers(&server, "0").await;
    ready(&revocations).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_less_behind_a_proxy_that_cuts_answers() {
    let server = server();
    publish(&server, 600, 20_000).await;
    let proxy = Proxy::to(server.port()).await;
    proxy.cut_answers_at(300_000);
    let revocations = follow(&proxy.url());
    ready(&revocations).await;
    assert_eq!(revocations.entries(), 600);
}

/// The counters and the entries of the first read take longer than any fixed deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_for_a_large_answer_on_a_slow_link() {
    let server = server();
    add_large(&server, Stream::SessionsRevoke, 6 * MEGABYTE).await;
    let proxy = Proxy::to(server.port()).await;
    proxy.throttle(2_500_000);
    let revocations = follow(&proxy.url());
    ready(&revocations).await;
    revoke(&publisher(&server).await, "victim").await;
    eventually("the victim is revoked", || is_revoked(&revocations, "victim")).await;
    assert!(is_admitted(&revocations, "anybody"));
}
