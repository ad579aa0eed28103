//! `/status`, the page for people and reloads, while Redis is flushed, stopped and started again.

use std::time::{Duration, Instant};

use caracal_test_support::resp::RespSocket;
use serde_json::Value;

use crate::browser::Browser;
use crate::exchange::{body, get, header, send, status};
use crate::program::Guard;
use crate::world::{World, free_address};

const TOKEN: &str = "a-token-for-reloads-of-this-test";

/// The time after which a condition has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// The environment of a guard with a short bound, which shows its details and accepts reloads.
fn environment(world: &World) -> Vec<(&'static str, String)> {
    let mut environment = world.environment();
    environment.extend([
        ("REVOCATION_DENY_AFTER_MS", "2000".to_owned()),
        ("CARACAL_GUARD_INSECURE_SHOW_DETAILS", "true".to_owned()),
        ("CARACAL_GUARD_RELOAD_TOKEN", TOKEN.to_owned()),
    ]);
    environment
}

async fn start(environment: &[(&'static str, String)]) -> Guard {
    Guard::start(environment, &["--check", &free_address().to_string()]).await
}

async fn read_status(guard: &Guard) -> Value {
    let response = get(guard.operations, "/status").await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    serde_json::from_str(body(&response)).unwrap()
}

/// Waits until the status is so, and returns it.
async fn until(what: &str, guard: &Guard, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = read_status(guard).await;
        if is_so(&status) {
            return status;
        }
        assert!(start.elapsed() < DEADLINE, "never happened: {what}: {status:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the status of a stream.
fn stream<'s>(status: &'s Value, name: &str) -> &'s Value {
    let streams = status["details"]["streams"].as_array().unwrap();
    streams.iter().find(|stream| stream["stream"] == name).unwrap()
}

/// Removes every stream from the server.
fn flush(world: &World) {
    let mut socket = RespSocket::connect(world.redis.port());
    socket.push(&[b"FLUSHALL"]);
    socket.send();
    socket.skip(&mut |_| {});
}

/// Sends `POST /revocations/reload`, and returns the status and the JSON body.
async fn reload(guard: &Guard, token: &str) -> (u16, Value) {
    let bearer = format!("Authorization: Bearer {token}");
    let lines = [bearer.as_str(), "Content-Length: 0"];
    let response = send(guard.operations, "POST", "/revocations/reload", &lines).await.unwrap();
    (status(&response), serde_json::from_str(body(&response)).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_follows_a_flush_an_outage_and_a_restart() {
    let mut world = World::start().await;
    let guard = start(&environment(&world)).await;
    world.revoke("ar-1").await;
    let ready = until("the revocation is read", &guard, |status| {
        status["details"]["entries"] == 1
            && status["details"]["keys"][0]["messages"] == 1
            && stream(status, "caracal.sessions.revoke")["exists"] == true
    })
    .await;
    assert_eq!(
        (&ready["status"], &ready["staleness_bound_seconds"]),
        (&"ready".into(), &2.0.into())
    );
    let read = stream(&ready, "caracal.sessions.revoke");
    assert_ne!(read["cursor"], "0-0");
    assert_eq!(read["replayed"], 1.0);
    assert_eq!(read["gaps"], Value::Array(Vec::new()));
    assert_eq!(ready["details"]["keys"][0]["slot"], "current");
    assert_eq!(ready["details"]["baseline"], Value::Null);

    flush(&world);
    let gap = until("the gap is found", &guard, |status| status["horizon"].is_i64()).await;
    let read = stream(&gap, "caracal.sessions.revoke");
    assert_eq!(
        (&read["gaps"][0]["cause"], &read["gaps"][0]["count"]),
        (&"missing".into(), &1.into())
    );
    assert_eq!(gap["details"]["entries"], 1, "what was revoked stays revoked");

    world.redis.kill();
    let stale = until("the view is stale", &guard, |status| status["reason"] == "stale").await;
    assert_eq!((&stale["status"], &stale["outage"]), (&"unready".into(), &"unreachable".into()));
    assert!(stale["staleness_seconds"].as_f64().unwrap() > 2.0, "{stale}");
    assert!(stale["advice"].as_str().unwrap().contains("server runs"), "{stale}");
    let (code, answer) = reload(&guard, TOKEN).await;
    assert_eq!((code, &answer["status"]), (503, &"not_possible".into()));
    assert_eq!(answer["reason"], "unreachable");

    world.redis.restart();
    let again = until("it is ready again", &guard, |status| status["status"] == "ready").await;
    assert_eq!(again["details"]["suspected_gaps"][0]["cause"], "restarted");
    assert!(again["outage"].is_null(), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_reads_the_streams_again_while_the_view_stays_fresh() {
    let world = World::start().await;
    let guard = start(&environment(&world)).await;
    for n in 0..20 {
        world.revoke(&format!("ar-{n}")).await;
    }
    until("all is read", &guard, |status| status["details"]["entries"] == 20).await;
    let response = get(guard.operations, "/revocations/reload").await.unwrap();
    assert_eq!((status(&response), header(&response, "allow")), (405, Some("POST")));
    for wrong in ["", "another-token", "a-token-for-reloads-of-this-tesT"] {
        assert_eq!(reload(&guard, wrong).await.0, 401, "{wrong}");
    }
    assert_eq!(read_status(&guard).await["details"]["reload"], Value::Null);
    assert_eq!(reload(&guard, TOKEN).await, (202, serde_json::json!({"status": "accepted"})));
    let done = until("the reload ends", &guard, |status| {
        assert_eq!(status["status"], "ready");
        status["details"]["reload"]["state"] == "complete"
    })
    .await;
    assert_eq!(done["details"]["reload"]["messages"], 20);
    assert_eq!(done["details"]["entries"], 20);
    assert_eq!(done["details"]["suspected_gaps"], Value::Array(Vec::new()));
    let log = guard.log();
    assert!(log.contains("the reload is complete") && !log.contains(TOKEN), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_is_no_reload_and_no_detail() {
    let world = World::start().await;
    let guard = start(&world.environment()).await;
    let (code, answer) = reload(&guard, TOKEN).await;
    assert_eq!((code, &answer["status"]), (404, &"not_configured".into()));
    let status = read_status(&guard).await;
    assert_eq!(status["status"], "ready");
    assert!(status["details"].is_null(), "{status}");
    let page = get(guard.operations, "/").await.unwrap();
    assert!(page.contains("<title>Ready") && !page.contains("Version"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_shows_ready_gap_and_stale() {
    let Some(browser) = Browser::find() else { return };
    let mut world = World::start().await;
    let mut environment = environment(&world);
    // A browser that starts slows down a small machine. The page must not show the view as old then.
    environment.push(("REVOCATION_DENY_AFTER_MS", "10000".to_owned()));
    let guard = start(&environment).await;
    world.revoke("ar-1").await;
    until("the revocation is read", &guard, |status| status["details"]["entries"] == 1).await;
    let page = browser.load(guard.operations, "/").await;
    assert_eq!(page.text("title"), "Ready · Caracal revocation");
    assert_eq!(page.text("h1"), "✓ Ready");
    let table = page.text("table");
    assert!(table.contains("caracal.sessions.revoke") && table.contains("none"), "{table}");
    // A style that the policy does not allow, or any request to elsewhere, is reported here.
    assert_eq!(page.console, "", "{page:?}");

    flush(&world);
    until("the gap is found", &guard, |status| status["horizon"].is_i64()).await;
    let page = browser.load(guard.operations, "/").await;
    assert_eq!(page.text("h1"), "! Ready, with a gap");
    assert!(page.text("table").contains("1 missing"), "{page:?}");

    world.redis.kill();
    until("the view is stale", &guard, |status| status["reason"] == "stale").await;
    let page = browser.load(guard.operations, "/?refresh=off").await;
    let (title, heading) = (page.text("title"), page.text("h1"));
    assert!(title.starts_with("Stale for ") && title.contains(": denying · "), "{title}");
    assert!(heading.starts_with("✕ Stale for ") && heading.ends_with(" s: denying"), "{heading}");
    assert!(page.text("main").contains("Check whether the server runs"), "{page:?}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn reload_denies_a_row_that_came_without_a_message() {
    use caracal_test_support::postgres_server::PostgresServer;

    use crate::world::ZONE;

    let (mut world, postgres) = (World::start().await, PostgresServer::start().await);
    let mut environment = environment(&world);
    environment.push(("DATABASE_URL", postgres.url()));
    let check = free_address();
    let guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
    until("the baseline is read", &guard, |status| {
        status["details"]["baseline"]["complete_read_seconds_ago"].is_number()
    })
    .await;
    let payload = format!(r#"{{"zone_id":"{ZONE}","session_id":"hidden"}}"#);
    let row = format!(
        "INSERT INTO event_outbox VALUES ('o-1', 'caracal.sessions.revoke', '{payload}', now(), now())"
    );
    postgres.run(&row).await;
    let bearer = format!("Authorization: Bearer {}", world.mint("hidden"));
    let admitted = async || status(&send(check, "GET", "/check", &[&bearer]).await.unwrap());
    assert_eq!(admitted().await, 200, "no message told it");

    assert_eq!(reload(&guard, TOKEN).await.0, 202);
    let ended = |status: &Value| status["details"]["reload"]["ended_seconds_ago"].is_number();
    let done = until("the reload ends", &guard, ended).await;
    assert_eq!(done["details"]["reload"]["state"], "complete");
    assert_eq!(done["details"]["baseline"]["facts"], 1);
    assert_eq!(admitted().await, 401);

    // With a baseline, a reload is possible while Redis is away.
    let row = row.replace("o-1", "o-2").replace("hidden", "other");
    postgres.run(&row).await;
    world.redis.kill();
    until("the outage is known", &guard, |status| status["outage"] == "unreachable").await;
    assert_eq!(reload(&guard, TOKEN).await.0, 202);
    let done = until("the reload ends", &guard, |status| {
        status["details"]["entries"] == 2 && ended(status)
    })
    .await;
    assert_eq!(done["details"]["reload"]["state"], "incomplete");
    assert_eq!(done["details"]["reload"]["streams_error"], "unreachable");
    assert!(done["details"]["reload"]["baseline_error"].is_null(), "{done}");
}
