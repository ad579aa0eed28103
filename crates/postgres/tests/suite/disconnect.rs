//! The end of a read: a connection pooler must be able to reuse its connection.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caracal_revocation_stream::Scope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::pooler::Pooler;
use crate::reading::{DAY, postgres, read};
use crate::server::PostgresServer;

/// ROLLBACK as a simple query, and Terminate.
const ENDING: &[u8] = b"Q\0\0\0\x0dROLLBACK\0X\0\0\0\x04";

/// Forwards connections to a server, and keeps the bytes of each client after it disconnects.
struct Recorder {
    port: u16,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    async fn before(server: &PostgresServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, behind) = (listener.local_addr().unwrap().port(), server.port());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let bytes = forward(client, server).await;
                    kept.lock().unwrap().push(bytes);
                });
            }
        });
        Self { port, sent }
    }

    /// Returns the bytes of the `n`th client to disconnect.
    async fn sent(&self, n: usize) -> Vec<u8> {
        let start = Instant::now();
        loop {
            if let Some(bytes) = self.sent.lock().unwrap().get(n) {
                return bytes.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the connection stays open");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn forward(client: TcpStream, server: TcpStream) -> Vec<u8> {
    let ((mut client, mut to_client), (mut from_server, mut server)) =
        (client.into_split(), server.into_split());
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let (mut sent, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match client.read(&mut buffer).await {
            Ok(0) | Err(_) => return sent,
            Ok(length) => {
                sent.extend_from_slice(&buffer[..length]);
                let _ = server.write_all(&buffer[..length]).await;
            }
        }
    }
}

fn ends_in_order(sent: &[u8]) {
    let end = &sent[sent.len().saturating_sub(60)..];
    assert!(sent.ends_with(ENDING), "{}", end.escape_ascii());
}

#[tokio::test]
async fn every_read_ends_with_rollback_and_terminate() {
    let server = PostgresServer::start().await;
    let recorder = Recorder::before(&server).await;
    let url = server.url_at(recorder.port);

    let (_, outcome) = read(&mut postgres(&url), Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()));
    ends_in_order(&recorder.sent(0).await);

    server.run("ALTER TABLE delegation_edges RENAME TO somewhere_else").await;
    let (_, outcome) = read(&mut postgres(&url), Scope::Full(DAY)).await;
    assert!(outcome.is_err());
    ends_in_order(&recorder.sent(1).await);
    server.run("ALTER TABLE somewhere_else RENAME TO delegation_edges").await;

    // The deadline ends the read in the middle of a statement.
    let mut owner = server.owner().await;
    let locked = owner.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE authority_records").await.unwrap();
    let mut hurried = postgres(&url).with_deadline(Duration::from_millis(700));
    let (_, outcome) = read(&mut hurried, Scope::Full(DAY)).await;
    assert!(outcome.is_err());
    ends_in_order(&recorder.sent(2).await);
    locked.rollback().await.unwrap();
}

#[tokio::test]
async fn cuts_connection_to_hung_server() {
    let server = PostgresServer::start().await;
    let recorder = Recorder::before(&server).await;
    let url = server.url_at(recorder.port);
    let mut owner = server.owner().await;
    let locked = owner.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE authority_records").await.unwrap();
    let reading = tokio::spawn(async move {
        let mut patient = postgres(&url);
        read(&mut patient, Scope::Full(DAY)).await
    });
    let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let watcher = server.owner().await;
    while watcher.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The statement goes on for a minute; the follower that started it has ended.
    reading.abort();
    assert!(recorder.sent(0).await.ends_with(b"ROLLBACK\0"));
}

#[tokio::test]
async fn pooler_keeps_its_connection_between_reads() {
    let server = PostgresServer::start().await;
    let Some(pooler) = Pooler::start(&server) else {
        eprintln!("skipped: pgbouncer is not installed");
        return;
    };
    let url = format!("{}?pgbouncer=true&schema=public&sslmode=disable", pooler.url(&server));
    let owner = server.owner().await;
    let backends = async || {
        let all = "SELECT pid FROM pg_stat_activity WHERE usename = 'caracal_revocation'";
        let rows = owner.query(all, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>()
    };
    let (_, outcome) = read(&mut postgres(&url), Scope::Full(DAY)).await;
    assert_eq!(outcome, Ok(()));
    let first = backends().await;
    assert_eq!(first.len(), 1);
    for _ in 0..5 {
        // Until the pooler notices the last disconnect, it opens another connection.
        pooler.wait_until_idle(&server).await;
        let (_, outcome) = read(&mut postgres(&url), Scope::Full(DAY)).await;
        assert_eq!(outcome, Ok(()));
    }
    assert_eq!(backends().await, first, "the same process, used again");
}
