//! Limits of time, with a clock that the test moves.

use std::time::Duration;

use caracal_revocation::gateway::CutOptions;
use caracal_revocation::resource::Requirements;
use caracal_revocation::state::{Options, RevocationsWriter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Agent;
use crate::config::Limits;
use crate::routes::{Profile, RoutePattern, RouteRules, Routes, Shared};
use crate::server::Shutdown;

/// A HAPROXY-HELLO with version 2.0 and frames of 1,000 bytes.
const HELLO: &[u8] = b"\0\0\0\x40\x01\0\0\0\x01\0\0\
    \x12supported-versions\x08\x032.0\x0emax-frame-size\x03\xf8\x2f\x0ccapabilities\x08\x00";

/// Serves one side of a connection, and returns the other.
fn serve() -> (DuplexStream, JoinHandle<()>) {
    let route = RouteRules {
        pattern: RoutePattern::parse("/*", &[]).unwrap(),
        requirements: Requirements::new(),
        policy: false,
        anonymous: true,
        deny_after: None,
        cutting: CutOptions::new(),
    };
    let agent = Agent::new(&Routes {
        shared: Shared {
            revocations: RevocationsWriter::new(Options::default()).reader(),
            verifier: None,
            profile: Profile::Gateway,
            single_use: None,
            #[cfg(feature = "opa")]
            policy: None,
        },
        rules: Vec::new(),
        default: route,
    });
    let limits =
        Limits { connections: 1, header_timeout: Duration::from_secs(3), ..Limits::default() };
    let (client, server) = tokio::io::duplex(1 << 16);
    let (stop, shutdown) = Shutdown::channel();
    let task = tokio::spawn(async move {
        agent.serve(server, limits, shutdown).await;
        drop(stop);
    });
    (client, task)
}

/// Reads to the end, and returns the status of the AGENT-DISCONNECT and the time until then.
async fn ended(mut client: impl AsyncRead + Unpin) -> (Option<u8>, Duration) {
    let start = Instant::now();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    let key = b"\x0bstatus-code\x03";
    let found = bytes.windows(key.len()).position(|part| part == key);
    (found.map(|place| bytes[place + key.len()]), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn closes_connection_without_a_handshake() {
    for start in [&HELLO[..0], &HELLO[..3], &HELLO[..HELLO.len() - 1]] {
        let (mut client, task) = serve();
        client.write_all(start).await.unwrap();
        let (status, time) = ended(client).await;
        assert_eq!((status, time.as_secs()), (Some(2), 3));
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn slow_handshake_gets_no_more_time() {
    let (client, task) = serve();
    let (reading, mut writing) = tokio::io::split(client);
    let writer = tokio::spawn(async move {
        for byte in HELLO {
            let _ = writing.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let (status, time) = ended(reading).await;
    assert_eq!((status, time.as_secs()), (Some(2), 3));
    task.await.unwrap();
    writer.abort();
}

#[tokio::test(start_paused = true)]
async fn closes_idle_connection() {
    let (mut client, task) = serve();
    client.write_all(HELLO).await.unwrap();
    let (status, time) = ended(client).await;
    assert_eq!((status, time.as_secs()), (Some(2), 600));
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_a_peer_that_does_not_read() {
    let (mut client, task) = serve();
    client.write_all(HELLO).await.unwrap();
    // A question without arguments: it is answered 503.
    let question = b"\0\0\0\x14\x03\0\0\0\x01\x01\x01\x0bcheck-token\x00";
    let minute = Duration::from_secs(60);
    let end = loop {
        match tokio::time::timeout(minute, client.write_all(question)).await {
            Ok(Ok(())) => {}
            end => break end,
        }
    };
    assert!(end.is_ok(), "the connection stayed open");
    task.await.unwrap();
}
