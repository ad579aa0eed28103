//! Tests the rights of a Redis user without using them.
//!
//! Redis checks the rights of a command before its arguments. Each right is therefore tested with a
//! command that Redis rejects for its arguments. Only the error `NOPERM` shows a missing right.

use std::time::Duration;

use caracal_revocation_event::{CANARY_STREAM, Stream};
use caracal_revocation_stream::internal::dead_letters::dead_stream;
use caracal_revocation_stream::internal::{Links, LogError, RECEIPT_PREFIX, reply};
use caracal_revocation_stream::{InspectError, acl};
use redis::{Pipeline, Value};

use crate::inspector::{HOME, Inspector};

/// The purpose that a right is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Purpose {
    /// Follow the streams. Every follower needs it.
    Follow,
    /// Ask the primary of a replica for the end of its history.
    Primary,
    /// Read the server's settings, to warn of those that lose messages.
    Warn,
    /// Write dead letters, once in a fleet.
    DeadLetter,
    /// Send canaries.
    Canary,
    /// Write receipts.
    Receipts,
    /// Run effects once in a fleet, as a member of a consumer group.
    Effects,
    /// Publish messages.
    Publish,
    /// Remove or replace published messages.
    Remove,
}

impl Purpose {
    /// Returns all rights for this purpose, as arguments of `ACL SETUSER`. Returns `None` for a
    /// purpose that no follower has.
    #[must_use]
    pub const fn rights(self) -> Option<&'static str> {
        match self {
            Self::Follow => Some(acl::FOLLOW),
            Self::Primary => Some(acl::PRIMARY),
            Self::Warn => Some(acl::SETTINGS),
            Self::DeadLetter => Some(acl::DEAD_LETTERS),
            Self::Canary => Some(acl::CANARY),
            Self::Receipts => Some(acl::RECEIPTS),
            Self::Effects | Self::Publish | Self::Remove => None,
        }
    }
}

/// One right, and the result of its test.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Right {
    /// The purpose that needs the right.
    pub purpose: Purpose,
    /// The command, as an ACL names it.
    pub command: &'static str,
    /// The key on which the right is needed; `None` for a command without a key.
    pub key: Option<String>,
    /// `true` if this user has the right.
    pub held: bool,
}

/// A right, and the command that tests it.
struct Probe {
    purpose: Purpose,
    right: &'static str,
    key: Option<String>,
    command: Vec<String>,
}

impl Inspector {
    /// Tests the rights of this user at the server that the streams are read from. Rejected
    /// commands appear in Redis' `ACL LOG`.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis does not answer.
    pub async fn rights(&mut self) -> Result<Vec<Right>, InspectError> {
        let mut rights = probe_rights(&mut self.links, probes()).await?;
        rights.extend(probe_queued_rights(&mut self.links).await?);
        Ok(rights)
    }

    /// Tests the rights of the user of `REDIS_PRIMARY_URL` at that server, which dead letters and
    /// receipts are written to. Returns `None` if `REDIS_PRIMARY_URL` is not set.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if that server does not answer.
    pub async fn rights_at_primary(&mut self) -> Result<Option<Vec<Right>>, InspectError> {
        let Some(primary) = &mut self.primary else { return Ok(None) };
        let mut probes = probes();
        probes.retain(|probe| matches!(probe.purpose, Purpose::DeadLetter | Purpose::Receipts));
        let command = vec!["INFO".to_owned(), "server".to_owned()];
        probes.push(Probe { purpose: Purpose::Primary, right: "info", key: None, command });
        Ok(Some(probe_rights(primary, probes).await?))
    }
}

async fn probe_rights(links: &mut Links, probes: Vec<Probe>) -> Result<Vec<Right>, LogError> {
    let mut commands = Pipeline::new();
    for Probe { command, .. } in &probes {
        push(&mut commands, command.iter().map(String::as_str));
    }
    let answers = links.to(HOME).await?.query(&commands, Duration::ZERO).await?;
    // The connection of a user with the right to `MULTI` but not to `DISCARD` is still in a
    // transaction.
    links.close();
    let right = |(probe, answer): (Probe, Value)| Right {
        purpose: probe.purpose,
        command: probe.right,
        key: probe.key,
        held: !is_denied(answer),
    };
    Ok(probes.into_iter().zip(answers).map(right).collect())
}

/// Tests the rights to commands that are valid with any argument. Queues them in a transaction that
/// is never executed: the connection is closed instead.
async fn probe_queued_rights(links: &mut Links) -> Result<Vec<Right>, LogError> {
    let mut begin = Pipeline::new();
    begin.cmd("MULTI");
    let connection = links.to(HOME).await?;
    let begun = connection.query(&begin, Duration::ZERO).await?;
    let mut rights = Vec::new();
    // Outside a transaction, Redis would execute these commands.
    if begun == [Value::Okay] {
        let mut commands = Pipeline::new();
        for right in ["del", "unlink"] {
            for stream in Stream::ALL {
                push(&mut commands, [right, stream.name()].into_iter());
                let key = Some(stream.name().to_owned());
                rights.push(Right { purpose: Purpose::Remove, command: right, key, held: false });
            }
        }
        let answers = connection.query(&commands, Duration::ZERO).await?;
        for (right, answer) in rights.iter_mut().zip(answers) {
            right.held = !is_denied(answer);
        }
    }
    links.close();
    Ok(rights)
}

fn push<'a>(commands: &mut Pipeline, mut args: impl Iterator<Item = &'a str>) {
    let command = commands.cmd(args.next().unwrap_or_default());
    for arg in args {
        command.arg(arg);
    }
}

fn is_denied(answer: Value) -> bool {
    reply::checked(Some(answer)).is_err_and(|error| error.to_string().contains("NOPERM"))
}

/// The words of a command. `KEY` is a placeholder for the key.
type CommandArgs = &'static [&'static str];

/// The rights on each stream.
const ON_STREAM: [(Purpose, &str, CommandArgs); 14] = {
    use Purpose::{Effects, Follow, Publish, Remove};
    [
        (Follow, "xread", &["XREAD", "STREAMS", "KEY", "bad-id"]),
        (Follow, "xinfo", &["XINFO", "STREAM", "KEY", "BAD"]),
        (Effects, "xgroup|create", &["XGROUP", "CREATE", "KEY", "no-such-group", "bad-id"]),
        (
            Effects,
            "xreadgroup",
            &["XREADGROUP", "GROUP", "no-such-group", "c", "STREAMS", "KEY", "bad-id"],
        ),
        (Effects, "xautoclaim", &["XAUTOCLAIM", "KEY", "no-such-group", "c", "bad", "0"]),
        (Effects, "xpending", &["XPENDING", "KEY", "no-such-group", "bad-id", "+", "1"]),
        (Effects, "xack", &["XACK", "KEY", "no-such-group", "bad-id"]),
        (Publish, "xadd", &["XADD", "KEY", "NOMKSTREAM", "bad-id", "f", "v"]),
        (Remove, "xtrim", &["XTRIM", "KEY", "BAD", "0"]),
        (Remove, "xdel", &["XDEL", "KEY", "bad-id"]),
        (Remove, "set", &["SET", "KEY", "v", "BAD"]),
        (Remove, "expire", &["EXPIRE", "KEY", "bad"]),
        // Renaming a key to itself changes nothing.
        (Remove, "rename", &["RENAME", "KEY", "KEY"]),
        (Remove, "restore", &["RESTORE", "KEY", "0", "bad", "REPLACE"]),
    ]
};

/// The rights that concern no key. `TIME`, `INFO`, `CONFIG GET` and an empty transaction are
/// harmless, so Redis executes them.
const ON_NO_KEY: [(Purpose, &str, CommandArgs); 9] = {
    use Purpose::{DeadLetter, Follow, Remove, Warn};
    [
        (Follow, "time", &["TIME"]),
        (Follow, "info", &["INFO", "server"]),
        (Warn, "config|get", &["CONFIG", "GET", "maxmemory-policy"]),
        (DeadLetter, "multi", &["MULTI"]),
        (DeadLetter, "discard", &["DISCARD"]),
        (DeadLetter, "exec", &["EXEC"]),
        (DeadLetter, "unwatch", &["UNWATCH"]),
        (Remove, "flushdb", &["FLUSHDB", "BAD"]),
        (Remove, "flushall", &["FLUSHALL", "BAD"]),
    ]
};

const ON_MARK: [(Purpose, &str, CommandArgs); 3] = [
    (Purpose::DeadLetter, "watch", &["WATCH", "KEY"]),
    (Purpose::DeadLetter, "get", &["GET", "KEY"]),
    (Purpose::DeadLetter, "set", &["SET", "KEY", "v", "BAD"]),
];

const ON_DEAD: [(Purpose, &str, CommandArgs); 1] =
    [(Purpose::DeadLetter, "xadd", &["XADD", "KEY", "NOMKSTREAM", "bad-id", "f", "v"])];

const ON_CANARY: [(Purpose, &str, CommandArgs); 2] = [
    (Purpose::Canary, "xadd", &["XADD", "KEY", "NOMKSTREAM", "bad-id", "f", "v"]),
    (Purpose::Canary, "xread", &["XREAD", "STREAMS", "KEY", "bad-id"]),
];

const ON_RECEIPT: [(Purpose, &str, CommandArgs); 1] =
    [(Purpose::Receipts, "set", &["SET", "KEY", "v", "BAD"])];

fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut on = |key: Option<&str>, rights: &[(Purpose, &'static str, CommandArgs)]| {
        for (purpose, right, args) in rights {
            let key = key.map(str::to_owned);
            let arg = |arg: &&str| match &key {
                Some(key) if *arg == "KEY" => key.clone(),
                _ => (*arg).to_owned(),
            };
            let command = args.iter().map(arg).collect();
            probes.push(Probe { purpose: *purpose, right, key, command });
        }
    };
    on(None, &ON_NO_KEY);
    for stream in Stream::ALL {
        let dead = dead_stream(stream);
        on(Some(stream.name()), &ON_STREAM);
        on(Some(&format!("{{{dead}}}:mark")), &ON_MARK);
        on(Some(&dead), &ON_DEAD);
    }
    on(Some(CANARY_STREAM), &ON_CANARY);
    on(Some(&format!("{RECEIPT_PREFIX}doctor")), &ON_RECEIPT);
    probes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tests_every_right_of_the_acl_lines() {
        for purpose in [
            Purpose::Follow,
            Purpose::Warn,
            Purpose::DeadLetter,
            Purpose::Canary,
            Purpose::Receipts,
        ] {
            let line = purpose.rights().unwrap();
            let named = line.split(' ').filter_map(|arg| arg.strip_prefix('+'));
            let mut named: BTreeSet<_> = named.collect();
            if purpose == Purpose::Canary {
                // Tested as a right to follow.
                named.remove("time");
            }
            let probes = probes();
            let tested = probes.iter().filter(|probe| probe.purpose == purpose);
            assert_eq!(tested.map(|probe| probe.right).collect::<BTreeSet<_>>(), named, "{line}");
        }
    }
}
