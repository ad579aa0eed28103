//! What an operator asks of Redis: the streams, their groups, the server itself.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::internal::{
    Counters, EntryReader, Head, Links, LogError, entry_reader, links, primary_links,
    reply as redis_reply,
};
use caracal_revocation_stream::{InspectError, Settings};
use redis::{Pipeline, Value};

use crate::reply;

/// Connections for the questions of an operator.
///
/// Each is answered within two seconds, or fails. An answer with entries may take longer while its
/// bytes arrive, a minute at most; it holds fewer entries where many do not arrive whole.
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
    /// To the server of `REDIS_PRIMARY_URL`, if that is set.
    pub(crate) primary: Option<Links>,
    /// For answers with entries in them.
    pub(crate) reader: EntryReader,
    version: String,
}

/// At most so many entries are read at once.
pub(crate) const PAGE: usize = 1_000;

/// In a cluster, questions about the server are asked of the one that has this stream.
pub(crate) const HOME: &str = Stream::SessionsRevoke.name();

/// What stands at a stream's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReport {
    /// Nothing.
    Missing,
    /// Something that is no stream.
    NoStream,
    /// A stream.
    Stream(StreamReport),
}

/// What Redis counts of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// How many entries it has.
    pub length: u64,
    /// How many were ever added.
    pub entries_added: u64,
    /// The id of its first entry, zero when it is empty.
    pub first: StreamId,
    /// The id last given to an entry.
    pub last: StreamId,
    /// The highest id that was ever deleted; trimming by `XTRIM` does not move it.
    pub max_deleted: StreamId,
    /// The names of its groups.
    pub groups: Vec<String>,
}

impl Inspector {
    /// Connects, and asks for the version: before 7.0 Redis does not count what was ever added.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis is not reached, refuses the login, or is too old.
    pub async fn connect(settings: &Settings) -> Result<Self, InspectError> {
        let (mut links, primary) = (links(settings), primary_links(settings));
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg("server");
        let info = first(links.tell(HOME, &commands).await?)?;
        let info = redis_reply::text(&info)?;
        let version = redis_reply::info_field(&info, "redis_version").unwrap_or("unknown");
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(LogError::Version(version.to_owned()).into());
        }
        let reader = entry_reader(settings, PAGE);
        Ok(Self { links, primary, reader, version: version.to_owned() })
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The server's clock, since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say.
    pub async fn time(&mut self) -> Result<Duration, InspectError> {
        let mut commands = Pipeline::new();
        commands.cmd("TIME");
        let answer = first(self.links.tell(HOME, &commands).await?)?;
        Ok(redis_reply::time(&answer)?)
    }

    /// What stands at `key`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not say.
    pub async fn stream(&mut self, key: &str) -> Result<KeyReport, InspectError> {
        let (head, length) = match self.reader.head(key).await {
            Err(LogError::Redis(words)) if words.starts_with("WRONGTYPE") => {
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
        let groups = reply::group_names(&first(self.links.tell(key, &commands).await?)?)?;
        let Counters { last_generated: last, entries_added, first, max_deleted } = counters;
        let report = StreamReport { length, entries_added, first, last, max_deleted, groups };
        Ok(KeyReport::Stream(report))
    }
}

/// The only answer to the only command.
pub(crate) fn first(answers: Vec<Value>) -> Result<Value, LogError> {
    answers.into_iter().next().ok_or(LogError::Reply("fewer answers than commands"))
}
