//! Reports once if every replica has applied a message, and how fast.

use std::io::Write;
use std::time::Duration;

use caracal_revocation_admin::Inspector;
use caracal_revocation_stream::Receipt;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::cli::{FleetArgs, MessageId};
use crate::outcome::{Failure, Outcome};
use crate::settings::Sources;
use crate::text::{plain, span};

/// The time between two reads of the receipts.
const EVERY: Duration = Duration::from_millis(100);

/// The receipts of the fleet, and the result of comparing them with the expectation.
#[derive(Debug, Serialize)]
struct Report {
    /// `true` if the expected number of replicas exists, and all are ready and have applied the
    /// message.
    complete: bool,
    expected: usize,
    replicas: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    replica: String,
    ready: bool,
    staleness_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<bool>,
    /// `true` if it read the message at its start or after a gap, or rejected it: its receipt does
    /// not show which.
    #[serde(skip_serializing_if = "is_false")]
    unclear: bool,
    /// The time from adding the message to its stream until the replica applied it. Absent once the
    /// receipt no longer holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
}

pub(crate) async fn report(
    sources: &Sources,
    args: &FleetArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let mut inspector = Inspector::connect(&sources.server()?).await?;
    let deadline = Instant::now() + args.timeout;
    loop {
        let report = Report::of(&inspector.receipts().await?, args.message, args.expect);
        if report.complete || !args.wait || Instant::now() >= deadline {
            report.write(args, out)?;
            return Ok(if report.complete { Outcome::Ok } else { Outcome::Negative });
        }
        sleep(EVERY).await;
    }
}

impl Report {
    fn of(receipts: &[Receipt], message: Option<MessageId>, expected: usize) -> Self {
        let line = |receipt: &Receipt| {
            let lag = message.and_then(|message| receipt.lag(message.stream, message.id));
            Line {
                replica: receipt.replica.clone(),
                ready: receipt.ready,
                staleness_seconds: receipt.staleness_seconds,
                applied: message.map(|message| receipt.has_applied(message.stream, message.id)),
                unclear: message.is_some_and(|it| receipt.has_skipped(it.stream, it.id)),
                lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            }
        };
        let replicas: Vec<_> = receipts.iter().map(line).collect();
        let is_good = |line: &Line| line.ready && line.applied != Some(false);
        // A fleet without receipts is never complete, even if no replica is expected.
        let complete =
            !replicas.is_empty() && replicas.len() >= expected && replicas.iter().all(is_good);
        Self { complete, expected, replicas }
    }

    fn write(&self, args: &FleetArgs, out: &mut impl Write) -> Result<(), Failure> {
        if args.json {
            serde_json::to_writer(&mut *out, self)?;
            return Ok(writeln!(out)?);
        }
        for line in &self.replicas {
            let ready = if line.ready { "ready" } else { "NOT READY" };
            let staleness = line.staleness_seconds.map_or_else(
                || "no proof yet".to_owned(),
                |seconds| format!("fresh {} before its receipt", span(seconds_span(seconds))),
            );
            let applied = match (line.applied, line.lag_seconds) {
                (None, _) => String::new(),
                (Some(false), _) => ", NOT applied".to_owned(),
                (Some(true), None) if line.unclear => {
                    ", read at its start or after a gap, or rejected (run caracal-streams drill)"
                        .into()
                }
                (Some(true), None) => ", applied".to_owned(),
                (Some(true), Some(lag)) => {
                    format!(", applied {} after it was published", span(seconds_span(lag)))
                }
            };
            writeln!(out, "{}: {ready}, {staleness}{applied}", plain(&line.replica))?;
        }
        let count = self.replicas.len();
        let found = match count {
            0 => "no replica writes receipts".to_owned(),
            1 => "1 replica".to_owned(),
            _ => format!("{count} replicas"),
        };
        let short = if count < self.expected {
            format!(", {} expected", self.expected)
        } else {
            String::new()
        };
        let verdict = if self.complete { "all of them" } else { "NOT all of them" };
        Ok(writeln!(out, "{found}{short}: {verdict}")?)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Converts the seconds of a receipt, which may hold any number.
fn seconds_span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
