//! `watch`: the streams, live, as a follower sees them.

mod screen;
mod signal;
mod tally;
mod terminal;

use std::io::Write;
use std::time::{Duration, SystemTime};

use caracal_revocation_stream::{Sighting, Watch};

pub(crate) use terminal::screen;

use crate::answer::Answer;
use crate::cli::WatchArgs;
use crate::failure::Failure;
use crate::output::{Output, note};
use crate::record::Record;
use crate::settings::Sources;

/// How long a read waits for the next message; without one for so long, the streams are idle.
const WAIT: Duration = Duration::from_secs(1);
/// Between attempts while Redis is away.
const PAUSE: Duration = Duration::from_millis(500);

/// One line or JSON object a message.
pub(crate) async fn lines(
    sources: &Sources,
    args: &WatchArgs,
    out: &mut Output,
) -> Result<Answer, Failure> {
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
    Ok(Answer::Fine)
}

async fn open(sources: &Sources, args: &WatchArgs) -> Result<Watch, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(Watch::open(&sources.settings()?, args.first(now)).await?)
}

fn write(sighting: &Sighting<'_>, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let record = Record::of(sighting.stream, sighting.outcome).at(sighting.id, sighting.age);
    if json {
        serde_json::to_writer(&mut *out, &record)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", record.line())?;
    }
    Ok(())
}
