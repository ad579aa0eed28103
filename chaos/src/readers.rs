//! The reader processes, each behind its own proxies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};

use crate::failure::Failure;
use crate::history::ReaderLife;
use crate::keys::Keys;
use crate::links::{Links, Place};
use crate::reader::{BOUND_MS, DECISIONS, JWKS, LISTENING, POLICY, PUBLIC_KEY, ROOM, STRICT};
use crate::time::{At, Clock};
use crate::truth::Truth;

const LISTENS_WITHIN: Duration = Duration::from_secs(120);
/// The time limit for the end of a reader, which first writes its snapshot.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// The largest age of the contents of a snapshot when its file is written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// One reader. Its links stay while its processes change.
pub struct Reader {
    pub number: usize,
    pub links: Links,
    aim: Aim,
    process: Mutex<Option<Process>>,
    current: watch::Sender<Option<Current>>,
}

/// The servers that a reader follows, and how it follows them.
#[derive(Clone, Debug)]
pub struct Aim {
    pub place: Place,
    /// `REDIS_PRIMARY_URL`, for a reader of a replica.
    pub primary: Option<SocketAddr>,
    /// `true` if the reader keeps a snapshot over a restart.
    pub snapshot: bool,
    /// `true` if its first snapshot is one that it must not believe.
    pub foreign_snapshot: bool,
    /// The number of revocations that it has room for; `None` for the default.
    pub room: Option<usize>,
    /// `true` if nothing can prove its view. It must not be ready until that changes.
    pub is_unprovable: bool,
}

/// The process that answers requests now, and its address.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    pub life: usize,
    pub address: SocketAddr,
}

struct Process {
    child: Child,
    life: usize,
}

/// The settings with which every reader of a schedule starts.
pub struct Setting<'s> {
    pub clock: Clock,
    pub truth: &'s Truth,
    pub keys: &'s Keys,
    pub bound: Duration,
    pub strict: bool,
    /// The baseline, if readers have one.
    pub decisions: Option<&'s Path>,
    /// The address of the issuer's keys.
    pub jwks: String,
    /// The file of the zone's policy.
    pub policy: &'s Path,
    /// The folder for logs and snapshots.
    pub folder: &'s Path,
}

impl Aim {
    pub const fn at(place: Place, snapshot: bool) -> Self {
        Self {
            place,
            primary: None,
            snapshot,
            foreign_snapshot: false,
            room: None,
            is_unprovable: false,
        }
    }
}

impl Setting<'_> {
    /// Returns the path of a reader's snapshot.
    pub fn snapshot(&self, reader: usize) -> PathBuf {
        self.folder.join(format!("reader-{reader}.snapshot"))
    }
}

impl Reader {
    pub async fn start(number: usize, aim: Aim, with: &Setting<'_>) -> Result<Self, Failure> {
        let links = Links::to(aim.place.clone()).await?;
        let process = Mutex::default();
        let reader = Self { number, links, aim, process, current: watch::channel(None).0 };
        reader.spawn(with).await?;
        Ok(reader)
    }

    pub fn current(&self) -> Option<Current> {
        *self.current.borrow()
    }

    /// Kills the process, as with `kill -9`. Returns its process id.
    pub async fn kill(&self, with: &Setting<'_>) -> Result<u32, Failure> {
        let mut process = self.process.lock().await;
        let Process { mut child, life } = process.take().ok_or("the reader is down already")?;
        let died = child.try_wait()?.is_some();
        self.current.send_replace(None);
        with.truth.leaving(life, with.clock.now());
        let pid = child.id().unwrap_or(0);
        child.kill().await?;
        with.truth.ended(life, with.clock.now(), died);
        Ok(pid)
    }

    /// Closes the input of the process and waits for its end, before which it writes its snapshot.
    pub async fn stop(&self, with: &Setting<'_>) -> Result<u32, Failure> {
        let mut process = self.process.lock().await;
        let Process { mut child, life } = process.take().ok_or("the reader is down already")?;
        let died = child.try_wait()?.is_some();
        self.current.send_replace(None);
        with.truth.leaving(life, with.clock.now());
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
        let snapshot = with.snapshot(self.number);
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
        if let Some(room) = self.aim.room {
            command.env(ROOM, room.to_string());
        }
        let recalled = recalled(&snapshot, with.clock).filter(|_| !self.aim.foreign_snapshot);
        let mut child = command
            .arg("reader")
            .envs(self.links.environment())
            .env(PUBLIC_KEY, with.truth.issuer().public_key())
            .env(JWKS, &with.jwks)
            .env(POLICY, with.policy)
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
        let life = with.truth.started(ReaderLife {
            reader: self.number,
            pid: child.id().unwrap_or(0),
            recalled,
            keys: keys.numbers,
            unproven_until: if self.aim.is_unprovable { At::NEVER } else { At::default() },
            started: with.clock.now(),
            leaving: None,
            ended: None,
            died: false,
        });
        *process = Some(Process { child, life });
        self.current.send_replace(Some(Current { life, address }));
        Ok(())
    }

    /// Records it if the process has ended by itself.
    pub async fn record_unexpected_end(&self, with: &Setting<'_>) -> Result<(), Failure> {
        if let Some(process) = self.process.lock().await.as_mut()
            && process.child.try_wait()?.is_some()
        {
            with.truth.ended(process.life, with.clock.now(), true);
        }
        Ok(())
    }
}

/// Returns the time up to which a snapshot has everything that the process knew.
fn recalled(snapshot: &Path, clock: Clock) -> Option<At> {
    let written = std::fs::metadata(snapshot).and_then(|file| file.modified()).ok()?;
    Some(clock.at(written).minus(WRITTEN_WITHIN))
}
