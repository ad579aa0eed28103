//! What this user may do, found out without doing it.
//!
//! Redis checks a command's rights before its arguments, so each right is asked for by a command
//! that cannot be carried out: no more than `NOPERM` tells the two apart, and nothing changes.

use std::time::Duration;

use caracal_revocation_event::Stream;
use redis::{Pipeline, Value};

use super::{HOME, InspectError, Inspector};
use crate::dead_letters::dead_stream;
use crate::redis_reply;

/// What a right is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Purpose {
    /// To follow the streams: without it nothing works.
    Follow,
    /// To warn of settings that lose messages.
    Warn,
    /// To write dead letters, once in a fleet.
    DeadLetter,
    /// To do effects once in a fleet, as a member of a consumer group.
    Effects,
    /// To publish.
    Publish,
}

/// One right, and whether this user has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Right {
    /// What it is for.
    pub purpose: Purpose,
    /// The command, as an ACL names it.
    pub command: &'static str,
    /// The key that it is needed on.
    pub key: Option<String>,
    /// Whether this user has it.
    pub held: bool,
}

/// A right, and the command that asks for it.
struct Probe {
    purpose: Purpose,
    right: &'static str,
    key: Option<String>,
    command: Vec<String>,
}

impl Inspector {
    /// The rights of this user on the streams that change state. Refused commands appear in
    /// Redis' `ACL LOG`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not answer.
    pub async fn rights(&mut self) -> Result<Vec<Right>, InspectError> {
        let probes = probes();
        let mut commands = Pipeline::new();
        for probe in &probes {
            let mut words = probe.command.iter();
            let command = commands.cmd(words.next().map_or("", String::as_str));
            for word in words {
                command.arg(word);
            }
        }
        let answers = self.links.to(HOME).await?.ask(&commands, Duration::ZERO).await?;
        let right = |(probe, answer): (Probe, Value)| Right {
            purpose: probe.purpose,
            command: probe.right,
            key: probe.key,
            held: !is_refused(answer),
        };
        Ok(probes.into_iter().zip(answers).map(right).collect())
    }
}

fn is_refused(answer: Value) -> bool {
    redis_reply::sound(Some(answer)).is_err_and(|error| error.to_string().contains("NOPERM"))
}

fn probes() -> Vec<Probe> {
    use Purpose::{DeadLetter, Effects, Follow, Publish, Warn};
    let mut probes = Vec::new();
    let mut ask = |purpose, right, key: Option<&str>, command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        probes.push(Probe { purpose, right, key: key.map(str::to_owned), command });
    };
    // The first three are harmless as they are.
    ask(Follow, "time", None, &["TIME"]);
    ask(Follow, "info", None, &["INFO", "server"]);
    ask(Warn, "config|get", None, &["CONFIG", "GET", "maxmemory-policy"]);
    ask(DeadLetter, "multi", None, &["MULTI"]);
    ask(DeadLetter, "discard", None, &["DISCARD"]);
    ask(DeadLetter, "exec", None, &["EXEC"]);
    ask(DeadLetter, "unwatch", None, &["UNWATCH"]);
    for stream in Stream::ALL {
        let dead = dead_stream(stream);
        let mark = format!("{{{dead}}}:mark");
        let (stream, dead, mark) = (Some(stream.name()), Some(&*dead), Some(&*mark));
        let mut on = |purpose, right, key: Option<&str>, words: &[&str]| {
            let filled: Vec<&str> = words
                .iter()
                .map(|word| if *word == "KEY" { key.unwrap_or("") } else { word })
                .collect();
            ask(purpose, right, key, &filled);
        };
        on(Follow, "xread", stream, &["XREAD", "STREAMS", "KEY", "bad-id"]);
        on(Follow, "xinfo|stream", stream, &["XINFO", "STREAM", "KEY", "BAD"]);
        on(DeadLetter, "xadd", dead, &["XADD", "KEY", "NOMKSTREAM", "bad-id", "f", "v"]);
        on(DeadLetter, "get", mark, &["GET", "KEY"]);
        on(DeadLetter, "set", mark, &["SET", "KEY", "v", "BAD"]);
        let group = "no-such-group";
        on(Effects, "xgroup|create", stream, &["XGROUP", "CREATE", "KEY", group, "bad-id"]);
        on(
            Effects,
            "xreadgroup",
            stream,
            &["XREADGROUP", "GROUP", group, "c", "STREAMS", "KEY", "bad-id"],
        );
        on(Effects, "xautoclaim", stream, &["XAUTOCLAIM", "KEY", group, "c", "bad", "0"]);
        on(Effects, "xack", stream, &["XACK", "KEY", group, "bad-id"]);
        on(Publish, "xadd", stream, &["XADD", "KEY", "NOMKSTREAM", "bad-id", "f", "v"]);
    }
    probes
}
