//! `--single-use`: a mandate is admitted once, by all guards of a fleet together.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::exchange::{body, header, send, status};
use crate::program::Guard;
use crate::world::{World, free_address};

/// The file of a gateway that admits each mandate once.
const ONCE: &str = "[tokens]\nprofile = \"gateway\"\nsingle_use = true\n";

/// Returns the header of a mandate for a gateway with this `jti`.
fn bearer(world: &World, id: &str) -> String {
    let token = world.mint_with("ar-1", &json!({ "use": "gateway", "jti": id }));
    format!("Authorization: Bearer {token}")
}

/// Asks with new mandates until one is admitted, and returns its header. On a busy machine, Redis
/// may answer too late.
async fn first_use(world: &World, check: SocketAddr, prefix: &str) -> String {
    let start = Instant::now();
    let mut n = 0;
    loop {
        let token = bearer(world, &format!("{prefix}-{n}"));
        match status(&send(check, "GET", "/check/orders", &[&token]).await.unwrap()) {
            200 => return token,
            status => assert_eq!(status, 503),
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{prefix}: never admitted");
        n += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks with this mandate until there is an answer, and returns it.
async fn answer(check: SocketAddr, token: &str) -> String {
    let start = Instant::now();
    loop {
        let response = send(check, "GET", "/check/orders", &[token]).await.unwrap();
        if status(&response) != 503 {
            return response;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{response}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admits_mandate_once_and_answers_replay_with_401() {
    let world = World::start().await;
    let (environment, _folder) = world.configured(ONCE);
    let check = free_address();
    let guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
    let token = first_use(&world, check, "jti").await;
    for _ in 0..2 {
        let response = answer(check, &token).await;
        assert_eq!(status(&response), 401);
        assert!(body(&response).contains("token was already used"), "{response}");
        assert!(header(&response, "www-authenticate").unwrap().contains("invalid_token"));
    }
    let replays = r#"caracal_gateway_denials_total{reason="replayed",front="check"}"#;
    assert_eq!(guard.metric(replays).await, Some(2.0));
    let uses = r#"caracal_gateway_single_use_total{outcome="replayed"}"#;
    assert_eq!(guard.metric(uses).await, Some(2.0));
    assert!(guard.log().contains("replay_detected"), "{}", guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_two_racing_guards_admits() {
    let world = World::start().await;
    let (environment, _folder) = world.configured(ONCE);
    let checks = [free_address(), free_address()];
    let _one = Guard::start(&environment, &["--check", &checks[0].to_string()]).await;
    let _other = Guard::start(&environment, &["--check", &checks[1].to_string()]).await;
    first_use(&world, checks[0], "warm-0").await;
    first_use(&world, checks[1], "warm-1").await;
    let (start, mut rounds) = (Instant::now(), 0);
    for round in 0.. {
        let token = bearer(&world, &format!("jti-{round}"));
        let requests: Vec<_> = (0..8)
            .map(|n| {
                let (check, token) = (checks[n % 2], token.clone());
                tokio::spawn(async move {
                    status(&send(check, "GET", "/check/orders", &[&token]).await.unwrap())
                })
            })
            .collect();
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(request.await.unwrap());
        }
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        // On a busy machine, Redis may answer too late.
        let (admitted, replayed, late) = (count(200), count(401), count(503));
        assert_eq!(admitted + replayed + late, 8, "{statuses:?}");
        assert!(admitted <= 1, "{statuses:?}");
        assert!(admitted == 1 || late > 0, "{statuses:?}");
        rounds += u32::from(late == 0);
        if rounds == 10 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{rounds} rounds without 503");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_of_redis_denies_unless_chosen_by_name() {
    let world = World::start().await;
    let (closed, _folder) = world.configured(ONCE);
    let open = format!("{ONCE}insecure_single_use_fail_open = true\n");
    let (open, _other_folder) = world.configured(&open);
    let checks = [free_address(), free_address()];
    let _closed = Guard::start(&closed, &["--check", &checks[0].to_string()]).await;
    let open = Guard::start(&open, &["--check", &checks[1].to_string()]).await;
    first_use(&world, checks[0], "warm-0").await;
    first_use(&world, checks[1], "warm-1").await;

    // The view stays fresh for 60 seconds.
    world.redis.freeze();
    let token = bearer(&world, "jti-1");
    let response = send(checks[0], "GET", "/check/orders", &[&token]).await.unwrap();
    assert_eq!(status(&response), 503, "{response}");
    assert!(body(&response).contains("record of used tokens unavailable"), "{response}");
    let response = send(checks[1], "GET", "/check/orders", &[&token]).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    let name = r#"caracal_gateway_failed_open_total{cause="use_unknown",front="check"}"#;
    assert!(open.metric(name).await.is_some_and(|count| count >= 1.0));

    world.redis.thaw();
    first_use(&world, checks[0], "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_of_redis_needs_only_documented_rights() {
    use caracal_revocation::admin::acl;

    let world = World::start().await;
    let rights = format!("{} {}", acl::FOLLOWER, acl::SINGLE_USE);
    allow(&world, &rights).await;
    let (mut environment, _folder) = world.configured(ONCE);
    let url = world.redis.url().replace("redis://", "redis://guard:secret@");
    environment.retain(|(name, _)| *name != "REDIS_URL");
    environment.push(("REDIS_URL", url));
    let check = free_address();
    let guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
    let token = first_use(&world, check, "jti").await;
    assert_eq!(status(&answer(check, &token).await), 401);

    // Without the right, requests are denied and the log names it.
    allow(&world, acl::FOLLOWER).await;
    let token = bearer(&world, "jti-2");
    assert_eq!(status(&send(check, "GET", "/check/orders", &[&token]).await.unwrap()), 503);
    assert!(guard.log().contains(acl::SINGLE_USE), "{}", guard.log());
}

/// Gives the user `guard` these rights and no others.
async fn allow(world: &World, rights: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut redis = tokio::net::TcpStream::connect(world.redis.address()).await.unwrap();
    let command = format!("ACL SETUSER guard reset on >secret {rights}\r\n");
    redis.write_all(command.as_bytes()).await.unwrap();
    let mut answer = [0; 5];
    redis.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
}
