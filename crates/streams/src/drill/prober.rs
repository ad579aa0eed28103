//! Repeats a drill until a signal ends it, and keeps metrics.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use caracal_revocation_event::OccurredAt;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::listener;
use super::metrics::Metrics;
use super::report::{Report, seconds};
use super::run::Plan;
use super::stage::{NoAnswer, Stage};
use crate::outcome::{Failure, Outcome};
use crate::output::{Output, note};
use crate::signals::EndSignals;
use crate::text::plain;

/// The time between two looks at whether the output has a reader.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A drill that gave no answer, as JSON.
#[derive(Debug, Serialize)]
struct Unanswered<'u> {
    within: bool,
    failed: [Stage; 1],
    error: &'u str,
}

/// Runs drills `every` apart, and writes one line for each. Ends with a signal, or once the output
/// has no reader and no metrics are served.
pub(super) async fn repeat(
    plan: &Plan<'_>,
    every: Duration,
    listen: Option<SocketAddr>,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let metrics = Metrics::new(every)?;
    if let Some(address) = listen {
        let (listener, bound) = listener::bind(address).await?;
        note(format_args!("caracal-streams: metrics on http://{bound}/metrics"));
        tokio::spawn(listener::serve(listener, metrics.exporter()));
    }
    let mut ends = EndSignals::listen()?;
    loop {
        let begun = Instant::now();
        let result = tokio::select! {
            result = plan.run() => result,
            _ = ends.next() => return Ok(Outcome::Ok),
        };
        let now = unix_time();
        metrics.record(&result, now);
        match write(&result, now, json, out) {
            // A full disk must not end drills that are alerted on by their metrics.
            Err(failure) if listen.is_some() => {
                note(format_args!("caracal-streams: the result cannot be written: {failure}"));
            }
            written => written?,
        }
        while begun.elapsed() < every {
            if listen.is_none() && out.is_closed() {
                return Ok(Outcome::Ok);
            }
            tokio::select! {
                () = sleep(LOOK_EVERY.min(every.saturating_sub(begun.elapsed()))) => {}
                _ = ends.next() => return Ok(Outcome::Ok),
            }
        }
    }
}

fn write(
    result: &Result<Report, NoAnswer>,
    now: Duration,
    json: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    if json {
        write_json(result, out)?;
    } else {
        writeln!(out, "{}", line(result, now))?;
    }
    Ok(out.flush()?)
}

fn write_json(result: &Result<Report, NoAnswer>, out: &mut Output) -> Result<(), Failure> {
    match result {
        Ok(report) => serde_json::to_writer(&mut *out, report)?,
        Err(no_answer) => {
            let error = &no_answer.failure.to_string();
            let unanswered = Unanswered { within: false, failed: [no_answer.stage], error };
            serde_json::to_writer(&mut *out, &unanswered)?;
        }
    }
    Ok(writeln!(out)?)
}

/// Returns the line of a drill that ended at `now`, the time since the Unix epoch.
fn line(result: &Result<Report, NoAnswer>, now: Duration) -> String {
    let time = OccurredAt::from_unix(now).map(|time| time.to_string()).unwrap_or_default();
    match result {
        Ok(report) => {
            let slowest = report.slowest().map(|(replica, after)| {
                format!("; slowest {} after {}", plain(replica), seconds(after))
            });
            format!("{time} {}{}", report.verdict(), slowest.unwrap_or_default())
        }
        Err(NoAnswer { stage, failure }) => format!("{time} NO ANSWER ({stage}): {failure}"),
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
