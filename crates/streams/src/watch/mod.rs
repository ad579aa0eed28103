//! `watch`: the streams, live, as a follower sees them.

mod screen;
mod signal;
mod tally;
mod terminal;

use std::io::Write;
use std::time::{Duration, SystemTime};

use caracal_revocation_state::{NotReady, Revocations};
use caracal_revocation_stream::{InspectError, StreamTail, TailedMessage};
use tokio::time::Instant;

pub(crate) use terminal::screen;

use crate::cli::WatchArgs;
use crate::outcome::{Failure, Outcome};
use crate::output::{Output, note};
use crate::record::Record;
use crate::settings::Sources;

/// How long a read waits for the next message; without one for so long, the streams are idle.
const WAIT: Duration = Duration::from_secs(1);
/// Between attempts while Redis is away.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a history that was read may take to be proven: a replica may be behind its primary.
const PROVEN_WITHIN: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(1);
const PROOF_WAIT: Duration = Duration::from_millis(100);

/// One line or JSON object a message.
pub(crate) async fn lines(
    sources: &Sources,
    args: &WatchArgs,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let mut watch = open(sources, args).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut told = None;
    while left > 0 && !out.is_closed() {
        let mut written = Ok(());
        let round = watch.round(WAIT, |sighting| {
            if left > 0 && written.is_ok() {
                left -= 1;
                written = write(&sighting, args.json, out);
            }
        });
        let round = round.await;
        written?;
        out.flush()?;
        match round {
            Ok(round) if round.is_idle && args.until_idle => break,
            Ok(_) => told = None,
            Err(error) if args.until_idle => return Err(error.into()),
            Err(error) => {
                if told.as_ref() != Some(&error) {
                    note(format_args!("caracal-streams: {error}; trying again"));
                    told = Some(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(Outcome::Ok)
}

async fn open(sources: &Sources, args: &WatchArgs) -> Result<StreamTail, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(StreamTail::open(&sources.settings()?, args.first(now)).await?)
}

fn write(sighting: &TailedMessage<'_>, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let record = Record::of(sighting.stream, sighting.outcome).at(sighting.id, sighting.age);
    if json {
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", record.line())?;
    }
    Ok(())
}

/// Reads to the end of the streams, and until that is proven or is not going to be.
pub(crate) async fn read_history(
    watch: &mut StreamTail,
    mut show: impl FnMut(TailedMessage<'_>),
) -> Result<(), InspectError> {
    let mut idle_since = None;
    loop {
        let wait = if idle_since.is_some() { PROOF_WAIT } else { SHORT };
        let round = watch.round(wait, &mut show).await?;
        if !round.is_idle {
            continue;
        }
        let since = *idle_since.get_or_insert_with(Instant::now);
        if !is_unproven(watch.revocations()) || since.elapsed() >= PROVEN_WITHIN {
            return Ok(());
        }
    }
}

fn is_unproven(state: &Revocations) -> bool {
    state.staleness(state.now()) == Err(NotReady::Replaying)
}
