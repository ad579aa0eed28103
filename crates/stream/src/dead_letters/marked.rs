//! Writes dead letters so that only one process of a fleet writes each letter.
//!
//! The mark, `{<stream>.dead}:mark`, lists the messages that were dead-lettered. It is watched with
//! `WATCH`, and set in the transaction that adds the letter. The braces put it into the same
//! cluster slot as the letters.

use std::time::Duration;

use caracal_revocation_event::{Stream, StreamId};
use redis::{Pipeline, Value};

use super::mark::{Mark, Order};
use crate::connection::Connection;
use crate::log_error::LogError;
use crate::redis_reply as reply;
use crate::topology::Links;

/// The approximate length that dead-letter streams are trimmed to.
pub(crate) const MAX_DEAD: u64 = 10_000;

/// The result of an attempt to write a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The letter is written.
    Written,
    /// The fleet has already written this letter, and all letters up to this id.
    Known(StreamId),
    /// Another process moved the mark at the same time.
    LostRace,
}

/// Tries to write the letter of the message at `id`. Retries once if the connection was closed
/// while it was idle.
pub async fn write(
    links: &mut Links,
    stream: Stream,
    id: StreamId,
    order: Order,
    letter: &[(String, String)],
) -> Result<Attempt, LogError> {
    let dead = dead_stream(stream);
    match write_on(links.to(&dead).await?, stream, id, order, letter).await {
        Err(error) if error.is_closed() => {
            links.close();
            write_on(links.to(&dead).await?, stream, id, order, letter).await
        }
        attempt => attempt,
    }
}

async fn write_on(
    connection: &mut Connection,
    stream: Stream,
    id: StreamId,
    order: Order,
    letter: &[(String, String)],
) -> Result<Attempt, LogError> {
    let mut mark = watch(connection, stream).await?;
    let is_known = mark.covers(id);
    if !mark.add(id, order) {
        let mut unwatch = Pipeline::new();
        unwatch.cmd("UNWATCH");
        connection.run(&unwatch).await?;
        return Ok(Attempt::Known(mark.up_to()));
    }
    let mut commands = transaction(stream, &mark, (!is_known).then_some(letter));
    commands.cmd("EXEC");
    let answers = connection.run(&commands).await?;
    match answers.last() {
        Some(Value::Nil) => Ok(Attempt::LostRace),
        Some(Value::Array(results)) => {
            for result in results {
                reply::checked(Some(result.clone()))?;
            }
            Ok(if is_known { Attempt::Known(mark.up_to()) } else { Attempt::Written })
        }
        _ => Err(LogError::Reply("EXEC is not as expected")),
    }
}

/// Checks all rights that writing needs, without writing. Returns the id up to which the fleet has
/// written letters.
pub(super) async fn probe(
    connection: &mut Connection,
    stream: Stream,
) -> Result<StreamId, LogError> {
    let mark = watch(connection, stream).await?;
    // Redis checks rights when a command is queued.
    let letter = [(String::new(), String::new())];
    let mut commands = transaction(stream, &Mark::default(), Some(&letter));
    commands.cmd("DISCARD");
    connection.run(&commands).await?;
    // No transaction is open any more, so EXEC does nothing. Any error except a missing right is
    // expected here.
    let mut commands = Pipeline::new();
    commands.cmd("UNWATCH").cmd("EXEC");
    for answer in connection.query(&commands, Duration::ZERO).await? {
        match reply::checked(Some(answer)) {
            Err(error) if error.forbids_writing() => return Err(error),
            _ => {}
        }
    }
    Ok(mark.up_to())
}

async fn watch(connection: &mut Connection, stream: Stream) -> Result<Mark, LogError> {
    let mark = mark_key(stream);
    let mut commands = Pipeline::new();
    commands.cmd("WATCH").arg(&mark).cmd("GET").arg(&mark);
    let answers = connection.run(&commands).await?;
    match answers.last() {
        Some(Value::Nil) => Ok(Mark::default()),
        Some(value) => Ok(Mark::parse(&reply::text(value)?)),
        None => Err(LogError::Reply("fewer answers than commands")),
    }
}

fn transaction(stream: Stream, mark: &Mark, letter: Option<&[(String, String)]>) -> Pipeline {
    let mut commands = Pipeline::new();
    commands.cmd("MULTI").cmd("SET").arg(mark_key(stream)).arg(mark.to_string());
    if let Some(letter) = letter {
        add(&mut commands, stream, letter);
    }
    commands
}

/// Adds the command that writes a letter.
pub fn add(commands: &mut Pipeline, stream: Stream, letter: &[(String, String)]) {
    let add = commands.cmd("XADD").arg(dead_stream(stream));
    add.arg("MAXLEN").arg("~").arg(MAX_DEAD).arg("*");
    for (name, value) in letter {
        add.arg(name).arg(value);
    }
}

/// Returns the key of the stream that the dead letters of `stream` go to.
pub fn dead_stream(stream: Stream) -> String {
    format!("{stream}.dead")
}

pub(super) fn mark_key(stream: Stream) -> String {
    format!("{{{}}}:mark", dead_stream(stream))
}
