//! The identity of a server: its run id and its replication history.

use redis::Pipeline;

use crate::connection::Connection;
use crate::log_error::LogError;
use crate::redis_reply::{checked, info_field, text};

const MISSING_FIELD: LogError = LogError::Reply("INFO lacks a field");

/// The identity of a server's process, and its position in its replication history. Both are parsed
/// from `INFO server` and `INFO replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) run_id: Box<str>,
    /// The replication id of the server's data.
    pub(crate) history: Box<str>,
    /// Its offset in that history.
    pub(crate) offset: i64,
    /// The history before the promotion, and the first offset that is not part of it.
    pub(crate) earlier: Option<(Box<str>, i64)>,
    pub(crate) is_replica: bool,
    /// The run id of the node that the stream's slot migrated from, if that node is still the same
    /// primary.
    pub(crate) moved_from: Option<Box<str>>,
}

impl Identity {
    /// Returns the run id in the answer to `INFO server`.
    pub(crate) fn run_id(server: &str) -> Result<&str, LogError> {
        info_field(server, "run_id").ok_or(MISSING_FIELD)
    }

    /// Parses the answer to `INFO replication` of the process with this run id.
    pub(crate) fn of(run_id: &str, replication: &str) -> Result<Self, LogError> {
        let field = |name| info_field(replication, name).ok_or(MISSING_FIELD);
        let number = |name| field(name)?.parse::<i64>().map_err(|_| MISSING_FIELD);
        let earlier = field("master_replid2")?;
        let is_set = earlier.bytes().any(|digit| digit != b'0');
        Ok(Self {
            run_id: run_id.into(),
            history: field("master_replid")?.into(),
            offset: number("master_repl_offset")?,
            earlier: is_set
                .then(|| Ok::<_, LogError>((earlier.into(), number("second_repl_offset")?)))
                .transpose()?,
            is_replica: field("role")? == "slave",
            moved_from: None,
        })
    }

    /// Asks the server for its identity.
    pub(crate) async fn query(connection: &mut Connection) -> Result<Self, LogError> {
        let mut commands = Pipeline::new();
        commands.cmd("INFO").arg("server").cmd("INFO").arg("replication");
        let mut answers = connection.run(&commands).await?.into_iter();
        let server = text(&checked(answers.next())?)?;
        let replication = text(&checked(answers.next())?)?;
        Self::of(Self::run_id(&server)?, &replication)
    }
}
