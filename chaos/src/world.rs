//! Everything that takes part in one schedule.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use caracal_revocation::wire::Stream;
use tokio::sync::{Mutex, RwLock, watch};

use crate::decisions::Decisions;
use crate::elected::Elected;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::history::Lost;
use crate::jwks::Jwks;
use crate::keys::Keys;
use crate::links::Place;
use crate::message::{MARK, id_behind, parse_id};
use crate::owners::Owners;
use crate::policy::PolicyFile;
use crate::readers::{Aim, Reader, Setting};
use crate::schedule::Schedule;
use crate::server::connect;
use crate::servers::Servers;
use crate::setup::Setup;
use crate::time::{At, Clock};
use crate::truth::{StreamContents, Truth};
use redis::aio::MultiplexedConnection;

pub struct World {
    pub schedule: Schedule,
    pub clock: Clock,
    pub truth: Truth,
    pub decisions: Decisions,
    pub jwks: Jwks,
    pub policy: PolicyFile,
    pub keys: Keys,
    pub fleet: Mutex<Fleet>,
    owners: watch::Receiver<Owners>,
    /// What readers follow, unless a fault starts one with another target.
    place: Place,
    pub readers: Vec<Reader>,
    /// The number of readers started, without restarts.
    started: AtomicUsize,
    /// The number of the primary's databases given to readers.
    databases: AtomicU8,
    /// Publishers hold the read lock while they publish. The holder of the write lock knows that no
    /// message is on its way.
    pub gate: RwLock<()>,
    /// The lag of the server's clock in the ids of messages, in milliseconds.
    pub clock_behind: AtomicU64,
    folder: PathBuf,
}

/// An entry of a stream: its id and its fields.
type Entry = (String, HashMap<Vec<u8>, Vec<u8>>);

impl World {
    pub async fn start(schedule: Schedule, folder: PathBuf) -> Result<Self, Failure> {
        let clock = Clock::start();
        let truth = Truth::new();
        let (fleet, owners) = match schedule.setup {
            Setup::Pair => {
                let (servers, owners) = Servers::start().await?;
                (Fleet::Pair(servers), owners)
            }
            Setup::Sentinel => {
                let (elected, owners) = Elected::with_sentinels().await?;
                (Fleet::Elected(elected), owners)
            }
            Setup::Cluster => {
                let (elected, owners) = Elected::with_masters().await?;
                (Fleet::Elected(elected), owners)
            }
        };
        let mut world = Self {
            schedule,
            clock,
            truth,
            decisions: Decisions::start(&folder)?,
            jwks: Jwks::start().await?,
            policy: PolicyFile::start(&folder)?,
            keys: Keys::new()?,
            place: fleet.place(),
            fleet: Mutex::new(fleet),
            owners,
            readers: Vec::new(),
            started: AtomicUsize::new(0),
            databases: AtomicU8::new(0),
            gate: RwLock::default(),
            clock_behind: AtomicU64::new(0),
            folder,
        };
        world.jwks.publish(world.truth.issuer().jwk());
        world.provision().await?;
        for _ in 0..world.schedule.readers {
            let reader = world.start_reader(world.usual()).await?;
            world.readers.push(reader);
        }
        Ok(world)
    }

    /// Starts one more reader.
    pub async fn start_reader(&self, aim: Aim) -> Result<Reader, Failure> {
        self.start_reader_with(aim, &self.setting()).await
    }

    /// Starts one more reader with another setting.
    pub async fn start_reader_with(
        &self,
        aim: Aim,
        setting: &Setting<'_>,
    ) -> Result<Reader, Failure> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        Reader::start(number, aim, setting).await
    }

    /// Returns the number of the reader that is started next.
    pub fn next_number(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Returns what readers follow, unless a fault starts one with another target.
    fn usual(&self) -> Aim {
        Aim::at(self.place.clone(), self.schedule.snapshot)
    }

    /// Returns the aim of a reader that follows the primary.
    pub fn at_primary(&self, snapshot: bool) -> Aim {
        Aim::at(Place::Server(self.primary(), 0), snapshot)
    }

    /// Returns the number of an unused database of the primary.
    pub fn empty_database(&self) -> u8 {
        self.databases.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn setting(&self) -> Setting<'_> {
        Setting {
            clock: self.clock,
            truth: &self.truth,
            keys: &self.keys,
            bound: self.schedule.bound,
            strict: self.schedule.strict,
            decisions: self.schedule.baseline.then(|| self.decisions.path()),
            jwks: self.jwks.url(),
            policy: self.policy.path(),
            folder: &self.folder,
        }
    }

    /// Returns the server to which publishers write the messages of this stream.
    pub fn owner(&self, stream: Stream) -> SocketAddr {
        self.owners.borrow().of(stream)
    }

    /// Returns the server of `sessions.revoke`, and of every stream except in a cluster.
    pub fn primary(&self) -> SocketAddr {
        self.owner(Stream::SessionsRevoke)
    }

    /// Returns the id that the next message asks for.
    pub fn next_id(&self) -> String {
        match self.clock_behind.load(Ordering::SeqCst) {
            0 => "*".to_owned(),
            by => id_behind(by),
        }
    }

    /// Creates the streams, as the provisioner does.
    pub async fn provision(&self) -> Result<(), Failure> {
        for stream in Stream::ALL {
            provision(self.owner(stream), &[stream]).await?;
        }
        Ok(())
    }

    /// Compares the streams with the revocations acknowledged by `upto`. Returns how many the fault
    /// that began at `at` has lost.
    pub async fn record_losses(&self, upto: At, at: At, how: Lost) -> Result<usize, Failure> {
        let mut contents = StreamContents::default();
        for stream in Stream::ALL {
            let mut connection = connect(self.owner(stream)).await?;
            let entries: Vec<Entry> = redis::cmd("XRANGE")
                .arg(stream.name())
                .arg("-")
                .arg("+")
                .query_async(&mut connection)
                .await?;
            let marks = entries.iter().filter_map(|(_, fields)| fields.get(MARK.as_bytes()));
            let marks =
                marks.filter_map(|mark| std::str::from_utf8(mark).ok()?.parse::<usize>().ok());
            contents.present.extend(marks);
        }
        contents.traced_up_to = traced_up_to(&mut connect(self.primary()).await?).await;
        Ok(self.truth.record_losses(&contents, upto, at, how))
    }
}

/// Creates streams, as the provisioner does.
pub async fn provision(server: SocketAddr, streams: &[Stream]) -> Result<(), Failure> {
    let mut connection = connect(server).await?;
    for stream in streams {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(stream.name()).arg("provisioned").arg("$").arg("MKSTREAM");
        command.exec_async(&mut connection).await?;
    }
    Ok(())
}

/// Returns the id up to which the counters of `sessions.revoke` show missing entries.
async fn traced_up_to(connection: &mut MultiplexedConnection) -> (u64, u64) {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(Stream::SessionsRevoke.name());
    let info: Result<HashMap<String, redis::Value>, _> = command.query_async(connection).await;
    // Without the stream there are no counters.
    let Ok(info) = info else { return (0, 0) };
    let id = |name: &str| {
        let id = redis::from_redis_value_ref::<String>(info.get(name)?).ok()?;
        parse_id(&id)
    };
    let number = |name: &str| redis::from_redis_value_ref::<u64>(info.get(name)?).ok();
    let deleted = id("max-deleted-entry-id").unwrap_or_default();
    // Every entry that was ever added is still there: the stream counts as complete.
    if number("entries-added") == number("length") {
        return deleted;
    }
    let first = id("recorded-first-entry-id").filter(|first| *first > (0, 0));
    let first = first.or_else(|| id("last-generated-id")).unwrap_or_default();
    first.max(deleted)
}
