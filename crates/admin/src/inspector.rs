//! The connections of an operator's program, and the state of a stream's key.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::{
    Counters, EntryReader, Head, Links, LogError, entry_reader, links, primary_links,
    reply as redis_reply,
};
use caracal_revocation_stream::{InspectError, Settings};
use redis::{Pipeline, Value};

use crate::reply;

/// The connections of an operator's program to Redis.
///
/// A command fails if it is not answered within two seconds. An answer with entries may take up to
/// a minute while its bytes arrive. It contains fewer entries if a full page does not arrive in
/// time.
///
/// ```no_run
/// use caracal_revocation_admin::Inspector;
/// use caracal_revocation_stream::Settings;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut inspector = Inspector::connect(&Settings::from_env()?).await?;
/// for provisioned in inspector.provision().await? {
///     println!("{}: {:?}", provisioned.stream.name, provisioned.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Inspector {
    pub(crate) links: Links,
    /// Connections to the server of `REDIS_PRIMARY_URL`, if that is set.
    pub(crate) primary: Option<Links>,
    /// The reader of entries, with its own connections.
    pub(crate) reader: EntryReader,
    version: String,
}

/// The maximum number of entries in one answer.
pub(crate) const PAGE: usize = 1_000;

/// The stream whose node answers queries about the server, in a cluster.
pub(crate) const HOME: &str = Stream::SessionsRevoke.name();

/// The content of a stream's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReport {
    /// The key does not exist.
    Missing,
    /// The key holds a value that is not a stream.
    NoStream,
    /// A stream.
    Stream(StreamReport),
}

/// The counters of a stream, as Redis reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// The number of its entries.
    pub length: u64,
    /// The number of entries ever added to it.
    pub entries_added: u64,
    /// The id of its first entry, or zero if it is empty.
    pub first: StreamId,
    /// The id of the entry that was added last, even if that was removed since.
    pub last: StreamId,
    /// The highest id that was ever deleted. Trimming by `XTRIM` does not change it.
    pub max_deleted: StreamId,
    /// The names of its groups.
    pub groups: Vec<String>,
}

impl Inspector {
    /// Connects, and checks the version: Redis before 7.0 does not count the entries ever added.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached, rejects the login, or is older than 7.0.
    pub async fn connect(settings: &Settings) -> Result<Self, InspectError> {
        let (mut links, primary) = (links(settings), primary_links(settings));
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg("server");
        let info = first(links.run(HOME, &commands).await?)?;
        let info = redis_reply::text(&info)?;
        let version = redis_reply::info_field(&info, "redis_version").unwrap_or("unknown");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(LogError::Version(version.to_owned()).into());
        }
        let reader = entry_reader(settings, PAGE);
        Ok(Self { links, primary, reader, version: version.to_owned() })
    }

    /// Returns the server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the server's clock, as the time since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn time(&mut self) -> Result<Duration, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("TIME");
        let answer = first(self.links.run(HOME, &commands).await?)?;
        Ok(redis_reply::time(&answer)?)
    }

    /// Returns the content of `key`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached or returns an error.
    pub async fn stream(&mut self, key: &str) -> Result<KeyReport, InspectError> {
        let (head, length) = match self.reader.head(key).await {
            Err(LogError::Redis(message)) if message.starts_with("WRONGTYPE") => {
                return Ok(KeyReport::NoStream);
            }
            answer => answer?,
        };
        let counters = match head {
            Head::Missing => return Ok(KeyReport::Missing),
            Head::Present(counters) => counters,
            Head::Uncounted(_) => return Err(LogError::Reply("no counters").into()),
        };
        let mut commands = Pipeline::new();
        commands.cmd("XINFO").arg("GROUPS").arg(key);
        let groups = reply::group_names(&first(self.links.run(key, &commands).await?)?)?;
        let Counters { last_generated: last, entries_added, first, max_deleted } = counters;
        let report = StreamReport { length, entries_added, first, last, max_deleted, groups };
        Ok(KeyReport::Stream(report))
    }
}

/// Returns the answer to a pipeline of one command.
pub(crate) fn first(answers: Vec<Value>) -> Result<Value, LogError> {
    answers.into_iter().next().ok_or(LogError::Reply("fewer answers than commands"))
}
