//! A dead-letter stream with a high-water mark: of a whole fleet, one process writes each letter.
//!
//! The mark, `{<stream>.dead}:mark`, is the id of the last message that was dead-lettered. It is
//! watched, and set in the same transaction as the letter is added; the braces put it into the
//! same slot of a cluster.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use redis::{Pipeline, Value};

use super::dead_stream;
use crate::connection::Connection;
use crate::log::LogError;
use crate::redis_reply as reply;

/// About what dead-letter streams are bounded to.
pub(crate) const MAX_DEAD: u64 = 10_000;

/// What became of an attempt to write a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Written,
    /// The fleet has written letters up to this id already.
    Known(StreamId),
    /// Somebody else moved the mark meanwhile.
    LostRace,
}

/// Tries once to write the letter for the message at `id`.
pub(super) async fn write(
    connection: &mut Connection,
    stream: Stream,
    id: StreamId,
    letter: &[(String, String)],
) -> Result<Attempt, LogError> {
    if let Some(mark) = watch(connection, stream).await?.filter(|mark| *mark >= id) {
        let mut unwatch = Pipeline::new();
        unwatch.cmd("UNWATCH");
        connection.tell(&unwatch).await?;
        return Ok(Attempt::Known(mark));
    }
    let mut commands = transaction(stream, id, letter);
    commands.cmd("EXEC");
    let answers = connection.tell(&commands).await?;
    match answers.last() {
        Some(Value::Nil) => Ok(Attempt::LostRace),
        Some(Value::Array(results)) => {
            for result in results {
                reply::sound(Some(result.clone()))?;
            }
            Ok(Attempt::Written)
        }
        _ => Err(LogError::Reply("EXEC is not as expected")),
    }
}

/// Asks for everything that writing takes, and writes nothing: the mark, if there is one.
pub(super) async fn probe(
    connection: &mut Connection,
    stream: Stream,
) -> Result<Option<StreamId>, LogError> {
    let mark = watch(connection, stream).await?;
    // Rights are checked when a command is queued.
    let mut commands = transaction(stream, StreamId::ZERO, &[(String::new(), String::new())]);
    commands.cmd("DISCARD");
    connection.tell(&commands).await?;
    // No transaction is open any more: EXEC carries out nothing, and any other error than that it
    // is forbidden is as expected.
    let mut commands = Pipeline::new();
    commands.cmd("UNWATCH").cmd("EXEC");
    for answer in connection.ask(&commands, Duration::ZERO).await? {
        match reply::sound(Some(answer)) {
            Err(error) if error.forbids_writing() => return Err(error),
            _ => {}
        }
    }
    Ok(mark)
}

async fn watch(connection: &mut Connection, stream: Stream) -> Result<Option<StreamId>, LogError> {
    let mark = mark_key(stream);
    let mut commands = Pipeline::new();
    commands.cmd("WATCH").arg(&mark).cmd("GET").arg(&mark);
    let answers = connection.tell(&commands).await?;
    match answers.last() {
        Some(Value::Nil) => Ok(None),
        // What is no id was not written by a follower: it is replaced.
        Some(value) => Ok(reply::text(value)?.parse().ok()),
        None => Err(LogError::Reply("fewer answers than commands")),
    }
}

fn transaction(stream: Stream, id: StreamId, letter: &[(String, String)]) -> Pipeline {
    let mut commands = Pipeline::new();
    commands.cmd("MULTI").cmd("SET").arg(mark_key(stream)).arg(id.to_string());
    let add = commands.cmd("XADD").arg(dead_stream(stream));
    add.arg("MAXLEN").arg("~").arg(MAX_DEAD).arg("*");
    for (name, value) in letter {
        add.arg(name).arg(value);
    }
    commands
}

pub(super) fn mark_key(stream: Stream) -> String {
    format!("{{{}}}:mark", dead_stream(stream))
}
