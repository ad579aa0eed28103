//! `check`: what a follower would make of one message.

use std::io::Write;

use caracal_revocation_event::Message;

use crate::answer::Answer;
use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::message::Given;
use crate::record::Record;
use crate::settings::Sources;

pub(crate) fn check(
    sources: &Sources,
    args: &CheckArgs,
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let settings = sources.keys()?;
    let given = Given::read(args.stream, std::io::stdin())?;
    let fields: Vec<_> = given.fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    let verified = settings.keys().verify(&Message::new(given.stream, &fields));
    let record = Record::of(given.stream, verified.as_ref().map_err(|rejection| *rejection));
    if args.json {
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", record.line())?;
    }
    Ok(if record.is_applied() { Answer::Fine } else { Answer::Not })
}
