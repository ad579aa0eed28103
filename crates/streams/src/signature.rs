//! `sign` and `check`: sign or verify one message from standard input, without Redis.

use std::io::Write;

use caracal_revocation_event::{Message, sign as add_signature};
use serde::Serialize;

use crate::cli::{CheckArgs, SignArgs};
use crate::message::InputMessage;
use crate::outcome::{Failure, Outcome};
use crate::record::Record;
use crate::settings::Sources;

/// The output of `sign`, which `sign` and `check` can read.
#[derive(Serialize)]
struct Signed<'s> {
    stream: &'s str,
    fields: &'s [(String, String)],
}

/// Signs the message from standard input.
pub(crate) fn sign(
    sources: &Sources,
    args: &SignArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let settings = sources.keys()?;
    let key = settings.keys().signing_key();
    let key =
        key.ok_or_else(|| Failure::new("STREAMS_HMAC_KEY: not set: nothing can be signed"))?;
    let given = InputMessage::read(args.stream, std::io::stdin())?;
    let mut fields = Vec::with_capacity(given.fields.len() + 1);
    for (name, value) in given.fields {
        fields.push((text(name)?, text(value)?));
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let is_twice = names.windows(2).any(|pair| matches!(pair, [one, other] if one == other));
    if is_twice || names.iter().any(|name| name.is_empty() || name.contains(['=', '\n'])) {
        let why = "a field is repeated, or its name is empty or contains '=' or a newline";
        return Err(Failure::new(format!("{why}: consumers would reject it as ambiguous")));
    }
    add_signature(key, given.stream, &mut fields);
    serde_json::to_writer(&mut *out, &Signed { stream: given.stream.name(), fields: &fields })?;
    writeln!(out)?;
    Ok(Outcome::Ok)
}

/// Verifies the message from standard input, and reports its outcome in a follower.
pub(crate) fn check(
    sources: &Sources,
    args: &CheckArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let settings = sources.keys()?;
    let given = InputMessage::read(args.stream, std::io::stdin())?;
    let fields: Vec<_> = given.fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    let verified = settings.keys().verify(&Message::new(given.stream, &fields));
    let record = Record::of(given.stream, verified.as_ref().map_err(|rejection| *rejection));
    if args.json {
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", record.line())?;
    }
    Ok(if record.is_applied() { Outcome::Ok } else { Outcome::Negative })
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::new("not UTF-8: only text can be signed"))
}
