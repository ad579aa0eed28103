//! The reader processes, each behind a proxy of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};

use crate::failure::Failure;
use crate::history::ReaderLife;
use crate::keys::Keys;
use crate::proxy::Proxy;
use crate::reader::{BOUND_MS, DECISIONS, LISTENING, PUBLIC_KEY, STRICT};
use crate::time::{At, Clock};
use crate::truth::Truth;

const LISTENS_WITHIN: Duration = Duration::from_secs(120);
/// A reader that is asked to end writes its snapshot first.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// What a snapshot holds is older than its file by less.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// One reader: the proxy stays, processes come and go.
pub struct Reader {
    pub number: usize,
    pub proxy: Proxy,
    aim: Aim,
    process: Mutex<Option<Process>>,
    current: watch::Sender<Option<Current>>,
}

/// What a reader follows, and how.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub redis: SocketAddr,
    pub database: u8,
    /// `REDIS_PRIMARY_URL`, for a reader of a replica.
    pub primary: Option<SocketAddr>,
    /// It keeps what it knows over a restart.
    pub snapshot: bool,
    /// Nothing proves its view: it must never be ready, unless that changes.
    pub is_unprovable: bool,
}

/// Where requests are answered now.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    pub life: usize,
    pub address: SocketAddr,
}

struct Process {
    child: Child,
    life: usize,
}

/// What every reader of a schedule is started with.
pub struct Setting<'s> {
    pub clock: Clock,
    pub truth: &'s Truth,
    pub keys: &'s Keys,
    pub bound: Duration,
    pub strict: bool,
    /// The second source of truth, where they read one.
    pub decisions: Option<&'s Path>,
    /// Where their logs and snapshots go.
    pub folder: &'s Path,
}

impl Aim {
    pub const fn at(redis: SocketAddr, snapshot: bool) -> Self {
        Self { redis, database: 0, primary: None, snapshot, is_unprovable: false }
    }
}

impl Reader {
    pub async fn start(number: usize, aim: Aim, with: &Setting<'_>) -> Result<Self, Failure> {
        let proxy = Proxy::to(aim.redis).await?;
        let process = Mutex::default();
        let reader = Self { number, proxy, aim, process, current: watch::channel(None).0 };
        reader.spawn(with).await?;
        Ok(reader)
    }

    pub fn current(&self) -> Option<Current> {
        *self.current.borrow()
    }

    /// As by `kill -9`; its process id.
    pub async fn kill(&self, with: &Setting<'_>) -> Result<u32, Failure> {
        let mut process = self.process.lock().await;
        let Process { mut child, life } = process.take().ok_or("the reader is down already")?;
        let died = child.try_wait()?.is_some();
        self.current.send_replace(None);
        let pid = child.id().unwrap_or(0);
        child.kill().await?;
        with.truth.ended(life, with.clock.now(), died);
        Ok(pid)
    }

    /// Asks it to end, and waits until it has: it writes its snapshot before.
    pub async fn stop(&self, with: &Setting<'_>) -> Result<u32, Failure> {
        let mut process = self.process.lock().await;
        let Process { mut child, life } = process.take().ok_or("the reader is down already")?;
        let died = child.try_wait()?.is_some();
        self.current.send_replace(None);
        let pid = child.id().unwrap_or(0);
        drop(child.stdin.take());
        tokio::time::timeout(ENDS_WITHIN, child.wait())
            .await
            .map_err(|_| "a reader does not end")??;
        with.truth.ended(life, with.clock.now(), died);
        Ok(pid)
    }

    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().and_then(|process| process.child.id())
    }

    pub async fn spawn(&self, with: &Setting<'_>) -> Result<(), Failure> {
        let mut process = self.process.lock().await;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(with.folder.join(format!("reader-{}.log", self.number)))?;
        let mut command = Command::new(std::env::current_exe()?);
        if with.strict {
            command.env(STRICT, "1");
        }
        if let Some(decisions) = with.decisions {
            command.env(DECISIONS, decisions);
        }
        let snapshot = with.folder.join(format!("reader-{}.snapshot", self.number));
        if self.aim.snapshot {
            command.env("CARACAL_REVOCATION_SNAPSHOT", &snapshot);
        }
        if let Some(primary) = self.aim.primary {
            command.env("REDIS_PRIMARY_URL", format!("redis://{primary}"));
        }
        let keys = with.keys.accepted();
        for (name, hex) in ["STREAMS_HMAC_KEY", "STREAMS_HMAC_KEY_PREVIOUS"].iter().zip(&keys.hex) {
            command.env(name, hex);
        }
        let recalled = recalled(&snapshot, with.clock);
        let mut child = command
            .arg("reader")
            .env("REDIS_URL", format!("redis://{}/{}", self.proxy.address(), self.aim.database))
            .env(PUBLIC_KEY, with.truth.issuer().public_key())
            .env(BOUND_MS, with.bound.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("a reader without output")?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(LISTENS_WITHIN, lines.next_line())
            .await
            .map_err(|_| "a reader does not listen")??;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix(LISTENING))
            .ok_or("a reader ended before it listened")?
            .parse()?;
        let life = with.truth.born(ReaderLife {
            reader: self.number,
            pid: child.id().unwrap_or(0),
            recalled,
            keys: keys.numbers,
            unproven_until: if self.aim.is_unprovable { At::NEVER } else { At::default() },
            started: with.clock.now(),
            ended: None,
            died: false,
        });
        *process = Some(Process { child, life });
        self.current.send_replace(Some(Current { life, address }));
        Ok(())
    }

    /// Notes whether it has ended by itself.
    pub async fn inquest(&self, with: &Setting<'_>) -> Result<(), Failure> {
        if let Some(process) = self.process.lock().await.as_mut()
            && process.child.try_wait()?.is_some()
        {
            with.truth.ended(process.life, with.clock.now(), true);
        }
        Ok(())
    }
}

/// Up to when, at least, a snapshot holds what was known.
fn recalled(snapshot: &Path, clock: Clock) -> Option<At> {
    let written = std::fs::metadata(snapshot).and_then(|file| file.modified()).ok()?;
    Some(clock.at(written).minus(WRITTEN_WITHIN))
}
