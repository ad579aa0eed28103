//! Redis loses messages; Postgres still holds their facts.

use std::path::Path;
use std::process::Command;

use caracal_revocation::baseline::Postgres;
use caracal_revocation::state::{DenyReason, Verdict};
use caracal_revocation::wire::Stream;
use caracal_revocation::{Claims, Follower, InProcess, Revocations};
use tempfile::TempDir;

use crate::certificates::certificates;
use crate::live::{ZONE, caught_up, claims, eventually, publisher, ready, revoke, ring, verdict};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;

/// Claims of a resource token that was issued before every gap of these tests.
fn old(session: &str) -> Claims {
    let mut claims = claims(session);
    claims.iat = 1_000_000_000;
    claims.token_use = Some("resource".into());
    claims
}

fn reason(revocations: &Revocations, claims: &Claims) -> Option<DenyReason> {
    match verdict(revocations, claims) {
        Verdict::Denied(denial) => Some(denial.reason()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_gap_from_postgres_and_denies_lost_revocation() {
    let redis = RedisServer::start();
    let mut postgres = PostgresServer::start().await;
    let url = postgres.url();
    let publisher = publisher(&redis).await;
    revoke(&publisher, "before").await;
    let baseline =
        Postgres::from_lookup(|name| (name == "DATABASE_URL").then(|| url.clone())).unwrap();
    let revocations = Follower::new(redis.settings(&ring())).with_baseline(baseline).spawn();
    ready(&revocations).await;
    caught_up(&revocations, &publisher).await;
    assert!(matches!(verdict(&revocations, &old("living")), Verdict::Admitted(_)));

    // The database is down while the stream loses a message.
    let name = Stream::SessionsRevoke.name();
    postgres
        .run(&format!(
            "INSERT INTO event_outbox VALUES ('o-1', '{name}',
             '{{\"zone_id\":\"{ZONE}\",\"session_id\":\"hidden\"}}', now(), now())"
        ))
        .await;
    postgres.kill();
    let mut connection = redis.connection().await;
    let mut lose = redis::pipe();
    lose.atomic();
    lose.cmd("XADD").arg(name).arg("*").arg("session_id").arg("hidden");
    lose.cmd("DEL").arg(name);
    lose.query_async::<()>(&mut connection).await.unwrap();
    eventually("the gap is detected", || {
        reason(&revocations, &old("living")) == Some(DenyReason::HistoryIncomplete)
    })
    .await;
    assert_eq!(reason(&revocations, &old("before")), Some(DenyReason::Revoked));
    assert!(matches!(verdict(&revocations, &claims("living")), Verdict::Admitted(_)));

    postgres.restart();
    eventually("the gap is closed", || reason(&revocations, &old("living")).is_none()).await;
    assert_eq!(reason(&revocations, &old("hidden")), Some(DenyReason::Revoked));
    let mut session = old("living");
    session.token_use = Some("session".into());
    assert_eq!(reason(&revocations, &session), Some(DenyReason::HistoryIncomplete));
}

const CHILD: &str = "CARACAL_DATABASE_OF_A_CHILD";

/// The child process of the next test: a service with the certificates that its parent chose.
#[tokio::test]
async fn child_that_reads_postgres() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let baseline =
        Postgres::from_lookup(|name| (name == "DATABASE_URL").then(|| url.clone())).unwrap();
    let follower = Follower::in_process(&InProcess::new(), ring()).unwrap().with_baseline(baseline);
    let reload = follower.reload_handle();
    let revocations = follower.spawn();
    let outcome = reload.reload().await;
    println!("outcome: {outcome:?}, {} entries", revocations.entries());
}

/// Runs such a service, which trusts `authority` if there is one, and returns its outcome.
fn outcome(url: &str, authority: Option<&Path>) -> String {
    let nothing = Path::new("/dev/null");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "baseline::child_that_reads_postgres", "--nocapture"])
        .env(CHILD, url)
        .env("CARACAL_MODE", "dev")
        .env("SSL_CERT_FILE", authority.unwrap_or(nothing))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout).into_owned();
    output.lines().find(|line| line.contains("outcome: ")).unwrap_or(&output).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_postgres_over_tls_only_if_its_certificate_is_trusted() {
    let mut postgres = PostgresServer::start().await;
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["server"]);
    let data = postgres.folder().join("data");
    for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
        // Write into files that the server already owns: it checks their owner.
        postgres.own_file(&data.join(to), &std::fs::read(folder.path().join(from)).unwrap());
    }
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    postgres.run("ALTER SYSTEM SET ssl = on").await;
    postgres.run("INSERT INTO authority_records VALUES ('ar-1', 'z', 'revoked')").await;
    postgres.kill();
    postgres.restart();

    let plain = postgres.url().replace("127.0.0.1", "localhost");
    let (required, disabled) =
        (format!("{plain}?sslmode=require"), format!("{plain}?sslmode=disable"));
    let ca = folder.path().join("ca.pem");
    let output = outcome(&required, Some(&ca));
    assert!(output.contains("outcome: Ok(()), 1 entries"), "{output}");
    for (url, authority) in [(&required, None), (&disabled, Some(ca.as_path()))] {
        let output = outcome(url, authority);
        assert!(output.contains("outcome: Err") && output.contains("0 entries"), "{output}");
        assert!(!output.contains("a-password"), "{output}");
    }
    // The certificate names localhost, but no address.
    let output = outcome(&required.replace("localhost", "127.0.0.1"), Some(&ca));
    assert!(output.contains("outcome: Err"), "{output}");
}
