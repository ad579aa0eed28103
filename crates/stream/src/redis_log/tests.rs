//! Tests against a scripted server, for behaviour that a real one shows only at certain moments.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use caracal_revocation_state::{Options, OutageCause, RevocationsWriter};
use redis::IntoConnectionInfo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::topology::Topology;
use crate::wire::Certificates;

/// The commands that arrived, by their first words.
type ReceivedCommands = Arc<Mutex<Vec<String>>>;

/// The behaviour of the server.
#[derive(Debug, Default)]
struct Script {
    is_replica: AtomicBool,
    /// The first stream begins with a large entry.
    is_large: AtomicBool,
}

/// Answers each read with one entry of the first stream, a millisecond after the cursor.
async fn serve(
    stream: TcpStream,
    received: ReceivedCommands,
    script: Arc<Script>,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let parts = number(&mut reading).await?;
        let mut command = Vec::new();
        for _ in 0..parts {
            let mut text = vec![0; number(&mut reading).await? + 2];
            reading.read_exact(&mut text).await?;
            command.push(String::from_utf8_lossy(&text[..text.len() - 2]).into_owned());
        }
        let name = if command[0] == "XINFO" { command.join(" ") } else { command[0].clone() };
        received.lock().unwrap().push(name);
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let answer = match command[0].as_str() {
            "TIME" => format!("*2\r\n{}{}", bulk("1795400000"), bulk("0")),
            "INFO" if command[1] == "server" => bulk("redis_version:7.2.0\r\nrun_id:one\r\n"),
            "INFO" => {
                let is_replica = script.is_replica.load(Ordering::SeqCst);
                let role = if is_replica { "slave" } else { "master" };
                bulk(&format!(
                    "role:{role}\r\nmaster_replid:a\r\nmaster_replid2:0\r\nmaster_repl_offset:1\r\n"
                ))
            }
            "CONFIG" => "*0\r\n".to_owned(),
            "XINFO"
                if script.is_large.load(Ordering::SeqCst)
                    && command[2] == Stream::SessionsRevoke.name() =>
            {
                let counters = [
                    ("last-generated-id", "1-0"),
                    ("max-deleted-entry-id", "0-0"),
                    ("recorded-first-entry-id", "1-0"),
                    ("entries-added", "1"),
                ];
                let counters: String =
                    counters.iter().map(|(name, value)| bulk(name) + &bulk(value)).collect();
                format!("*10\r\n{counters}{}{}", bulk("first-entry"), bulk(&"x".repeat(5 << 20)))
            }
            "XINFO" => "-ERR no such key\r\n".to_owned(),
            "XREAD" => {
                let names = command.iter().position(|word| word == "STREAMS").unwrap() + 1;
                let cursor = &command[names + (command.len() - names) / 2];
                let ms: u64 = cursor.split('-').next().unwrap().parse().unwrap();
                let (name, id) = (bulk(&command[names]), bulk(&format!("{}-0", ms + 1)));
                format!("*1\r\n*2\r\n{name}*1\r\n*2\r\n{id}*2\r\n{}{}", bulk("sid"), bulk("a"))
            }
            other => panic!("{other} is not in the script"),
        };
        writing.write_all(answer.as_bytes()).await?;
    }
}

/// Reads the number in a line such as `*3`.
async fn number(reading: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<usize> {
    let mut line = String::new();
    reading.read_line(&mut line).await?;
    let number = line.get(1..).and_then(|rest| rest.trim_end().parse().ok());
    number.ok_or(std::io::ErrorKind::UnexpectedEof.into())
}

async fn open() -> (RedisLog, ReceivedCommands) {
    let (log, received, _) = open_scripted().await;
    (log, received)
}

async fn open_scripted() -> (RedisLog, ReceivedCommands, Arc<Script>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let received = ReceivedCommands::default();
    let script = Arc::<Script>::default();
    let (record, role) = (Arc::clone(&received), Arc::clone(&script));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&record), Arc::clone(&role)));
        }
    });
    let topology = Topology::One(Box::new(url.into_connection_info().unwrap()));
    let revocations = RevocationsWriter::new(Options::default());
    let upstream = Upstream::all(&topology, &Certificates::default(), &revocations).remove(0);
    let mut log = RedisLog::new(upstream, None, false);
    log.open().await.unwrap();
    (log, received, script)
}

fn after(ms: u64) -> PerStream<StreamId> {
    [StreamId::new(ms, 0); Stream::ALL.len()]
}

async fn read(log: &mut RedisLog, ms: u64) -> Vec<u64> {
    let reading = log.read(&after(ms), None).await.unwrap();
    reading.entries.iter().map(|entry| entry.id.ms).collect()
}

#[tokio::test]
async fn uses_prefetched_reply_without_second_read() {
    let (mut log, received) = open().await;
    assert_eq!(read(&mut log, 10).await, [11]);
    log.read_ahead(&after(11)).await.unwrap();
    assert_eq!(read(&mut log, 11).await, [12]);
    let reads = received.lock().unwrap().iter().filter(|command| *command == "XREAD").count();
    assert_eq!(reads, 2);
}

#[tokio::test]
async fn drops_prefetched_reply_when_cursor_changes() {
    let (mut log, _) = open().await;
    assert_eq!(read(&mut log, 10).await, [11]);
    log.read_ahead(&after(11)).await.unwrap();
    // A gap was found, so the stream is read again from an earlier cursor.
    assert_eq!(read(&mut log, 5).await, [6]);
    assert_eq!(read(&mut log, 6).await, [7], "the prefetched reply was dropped");
}

#[tokio::test]
async fn demoted_primary_is_not_fresh_in_the_next_answer() {
    let (mut log, _, script) = open_scripted().await;
    let reading = log.read(&after(10), None).await.unwrap();
    assert_eq!((reading.as_of, reading.freshness_error), (AsOf::Sent, None));
    script.is_replica.store(true, Ordering::SeqCst);
    let reading = log.read(&after(11), None).await.unwrap();
    assert_eq!(reading.as_of, AsOf::Unknown);
    let cause = reading.freshness_error.map(|error| error.outage());
    assert_eq!(cause, Some(OutageCause::ReplicaWithoutPrimary));
    script.is_replica.store(false, Ordering::SeqCst);
    let reading = log.read(&after(12), None).await.unwrap();
    assert_eq!((reading.as_of, reading.freshness_error), (AsOf::Sent, None));
}

#[tokio::test]
async fn requests_identity_and_time_with_each_proof_only() {
    let (mut log, received) = open().await;
    received.lock().unwrap().clear();
    let wait = Some(Duration::from_secs(1));
    let mut proofs = 0;
    for ms in 10..30 {
        let reading = log.read(&after(ms), wait).await.unwrap();
        let is_proof = reading.heads.iter().any(Option::is_some);
        assert_eq!(reading.identity.is_some(), is_proof);
        assert_eq!(reading.server_time.is_some(), is_proof);
        assert_eq!(reading.as_of == AsOf::Sent, is_proof);
        proofs += usize::from(is_proof);
    }
    let received = received.lock().unwrap();
    let count = |text: &str| received.iter().filter(|command| *command == text).count();
    assert_eq!((count("TIME"), count("INFO"), count("XREAD")), (proofs, proofs, 20));
}

#[tokio::test]
async fn reads_at_most_once_in_the_interval_while_waiting() {
    let (log, received) = open().await;
    let mut log = log.read_every(Duration::from_millis(30));
    let began = Instant::now();
    for ms in 10..13 {
        log.read(&after(ms), Some(Duration::from_secs(1))).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(60), "{:?}", began.elapsed());
    let reads = received.lock().unwrap().iter().filter(|command| *command == "XREAD").count();
    assert_eq!(reads, 3);
}

#[tokio::test]
async fn requests_large_counters_rarely_and_without_last_entry() {
    let (mut log, received, script) = open_scripted().await;
    script.is_large.store(true, Ordering::SeqCst);
    let began = Instant::now();
    for ms in 10..60 {
        log.read(&after(ms), None).await.unwrap();
    }
    let received = received.lock().unwrap();
    let count = |text: &str| received.iter().filter(|command| command.starts_with(text)).count();
    assert_eq!(count("XINFO STREAM caracal.keys.invalidate"), 50);
    let large: Vec<_> =
        received.iter().filter(|command| command.contains(Stream::SessionsRevoke.name())).collect();
    let spaces = usize::try_from(began.elapsed().as_secs() / 2).unwrap();
    assert!(large.len() <= 1 + spaces, "{large:?}");
    assert!(large[1..].iter().all(|command| command.ends_with("FULL COUNT 1")), "{large:?}");
}

#[tokio::test]
async fn requests_large_counters_at_once_when_rereading() {
    let (mut log, received, script) = open_scripted().await;
    script.is_large.store(true, Ordering::SeqCst);
    let large = || {
        let received = received.lock().unwrap();
        received.iter().filter(|command| command.ends_with("FULL COUNT 1")).count()
    };
    for ms in 10..20 {
        log.read(&after(ms), None).await.unwrap();
    }
    let before = large();
    let mut again = after(20);
    again[Stream::SessionsRevoke.index()] = StreamId::default();
    log.read(&again, None).await.unwrap();
    assert_eq!(large(), before + 1);
    log.read(&again, None).await.unwrap();
    assert_eq!(large(), before + 1);
}
