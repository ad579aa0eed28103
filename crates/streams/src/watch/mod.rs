//! `watch`: follows the streams live, as a service does.

mod screen;
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

/// The time that a read waits for a message. If none arrives, the streams are idle.
const WAIT: Duration = Duration::from_secs(1);
/// The pause between attempts while Redis is unavailable.
const PAUSE: Duration = Duration::from_millis(500);
/// The time limit for proving a history that was read: a replica may be behind its primary.
const PROVEN_WITHIN: Duration = Duration::from_secs(2);
/// The wait of a read before the end of the history.
const SHORT: Duration = Duration::from_millis(1);
/// The wait of a read while the history is not proven yet.
const PROOF_WAIT: Duration = Duration::from_millis(100);

/// Writes one line or JSON object per message.
pub(crate) async fn lines(
    sources: &Sources,
    args: &WatchArgs,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let mut watch = open(sources, args).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut reported = None;
    while left > 0 && !out.is_closed() {
        let mut written = Ok(());
        let round = watch.round(WAIT, |message| {
            if left > 0 && written.is_ok() {
                left -= 1;
                written = write(&message, args.json, out);
            }
        });
        let round = round.await;
        written?;
        out.flush()?;
        match round {
            Ok(round) if round.is_idle && args.until_idle => break,
            Ok(_) => reported = None,
            Err(error) if args.until_idle => return Err(error.into()),
            Err(error) => {
                if reported.as_ref() != Some(&error) {
                    note(format_args!("caracal-streams: {error}; retrying"));
                    reported = Some(error);
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

fn write(message: &TailedMessage<'_>, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let record = Record::of(message.stream, message.outcome).at(message.id, message.age);
    if json {
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", record.line())?;
    }
    Ok(())
}

/// Reads to the end of the streams. Then waits until the history is proven complete, or until
/// `PROVEN_WITHIN` has passed.
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
