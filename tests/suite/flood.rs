//! A flood of forged messages takes bounded memory and hides no revocation.

use caracal_revocation::Follower;
use caracal_revocation::wire::Stream;

use crate::live::{caught_up, is_revoked, publisher, ready, ring};
use crate::redis_server::RedisServer;

const FORGED: usize = 60_000;

/// Returns the peak resident memory of this process, in MB.
fn highest_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discards_sixty_megabytes_of_forgeries_and_finds_revocation() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    let mut connection = server.connection().await;
    for batch in 0..FORGED / 500 {
        let mut forged = redis::pipe();
        for n in 0..500 {
            let line = forged.cmd("XADD").arg(Stream::SessionsRevoke.name()).arg("*");
            line.arg("session_id").arg(format!("forged-{batch}-{n}"));
            line.arg("reason").arg("x".repeat(1_000));
            if n % 2 == 0 {
                line.arg("_sig").arg("0".repeat(64));
            }
            line.ignore();
        }
        forged.exec_async(&mut connection).await.unwrap();
    }
    let publisher = publisher(&server).await;
    let before = highest_resident();
    let revocations = Follower::new(server.settings(&ring())).spawn();
    caught_up(&revocations, &publisher).await;
    ready(&revocations).await;
    assert_eq!(revocations.entries(), 1, "only the marker of `caught_up`");
    assert!(!is_revoked(&revocations, "forged-0-1"));
    let grown = highest_resident() - before;
    // Pending dead letters take 16 MB of it at most.
    assert!(grown < 40, "{grown} MB");
}
