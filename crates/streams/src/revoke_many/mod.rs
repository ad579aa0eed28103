//! `publish revoke` for many anchors: from a file, or from Caracal's Postgres.
//!
//! In reading order: [`source`] finds the anchors ([`input`] in a file, [`plan`] from Postgres);
//! [`journal`] holds the messages of earlier runs; [`send`] publishes the rest, at the [`pace`] that
//! the operator allows; [`replicas`] waits for the fleet, and [`losses`] looks at consumer groups.

mod input;
mod item;
mod journal;
mod losses;
mod pace;
mod plan;
mod progress;
mod replicas;
mod send;
mod source;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::Stream;
use caracal_revocation_stream::{InspectError, InspectErrorKind, Settings};
use serde::Serialize;

use self::item::Item;
use self::journal::{Done, Header, Journal};
use self::losses::Losses;
use self::pace::Pace;
use self::plan::{Counts, Radius, number};
use self::replicas::Expected;
use self::send::{End, send};
use self::source::Found;
use crate::cli::{PublishArgs, RevokeArgs};
use crate::outcome::{Failure, Outcome};
use crate::output::{confirm, note};
use crate::publishing::{connect, verified};
use crate::settings::Sources;
use crate::signals::EndSignals;
use crate::stream_key;
use crate::text::{plain, span};

const STREAM: Stream = Stream::SessionsRevoke;
/// The approximate length at which producers trim the stream.
const MAX_LEN: usize = 100_000;
/// The number of messages beyond which a slow reader may lose some.
const LARGE: usize = MAX_LEN / 2;
/// The most messages of one run. A service holds 5,000,000 revocations by default, and answers every
/// request 503 beyond that.
const MOST: usize = 1_000_000;

/// The JSON of a dry run.
#[derive(Serialize)]
struct DryRun<'r> {
    source: &'r str,
    #[serde(flatten)]
    counts: Counts,
    /// The number of messages that an earlier run has published.
    already_published: usize,
    repeated_lines: usize,
    /// What Postgres holds of it. `null` if Postgres was not asked.
    postgres: Option<&'r Radius>,
    /// The messages. As lines, they are an input for `--from-file`.
    revoke: &'r [Item],
}

/// The JSON of a run.
#[derive(Default, Serialize)]
struct Run {
    messages: usize,
    published: usize,
    already_published: usize,
    seconds: f64,
    /// The last message, as `fleet --message` takes it. `null` if there was nothing to revoke.
    last: Option<String>,
    /// `null` if the receipts of replicas could not be read.
    fleet: Option<replicas::Report>,
    /// The messages that were trimmed from the stream during this run before a group read them.
    /// `null` if the groups could not be read.
    lost_by_group: Option<Losses>,
}

pub(crate) async fn revoke_many(
    sources: &Sources,
    args: &PublishArgs,
    revoke: &RevokeArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let settings = sources.settings()?;
    let found = source::find(sources, revoke).await?;
    if found.items.len() > MOST {
        return Err(Failure::new(format!(
            "{} messages: more than {MOST} at once could fill the services, which then deny every \
             request; split the list, or add criteria",
            found.items.len()
        )));
    }
    for item in &found.items {
        verified(&settings, &item.message(&revoke.reason), |_| ())?;
    }
    let header = Header::new(&found.identity, &settings.address(), now());
    let path = revoke.run.journal.clone().unwrap_or_else(|| header.file_name());
    let done = journal::read(&path, &header)?;
    let left = found.items.len() - published_before(&found, &done);
    if revoke.run.dry_run {
        show(&found, left, args.json, out)?;
        let is_empty = found.items.is_empty();
        return Ok(if is_empty { Outcome::Negative } else { Outcome::Ok });
    }
    if found.items.is_empty() {
        if args.json {
            write_json(&Run::default(), out)?;
        } else {
            writeln!(out, "{}: nothing to revoke", plain(&found.name))?;
        }
        return Ok(Outcome::Negative);
    }
    if !confirm(&question(&found, left, revoke.run.rate), args.yes)? {
        writeln!(out, "nothing was published")?;
        return Ok(Outcome::Negative);
    }
    Publishing { settings, found, header, path, revoke }.run(done, args.json, out).await
}

/// A confirmed run.
struct Publishing<'a> {
    settings: Settings,
    found: Found,
    header: Header,
    /// The path of the journal.
    path: PathBuf,
    revoke: &'a RevokeArgs,
}

impl Publishing<'_> {
    async fn run(self, done: Done, json: bool, out: &mut impl Write) -> Result<Outcome, Failure> {
        let publisher = connect(&self.settings).await?;
        let (mut inspector, expected) = self.fleet().await?;
        self.check_key(inspector.as_mut()).await?;
        let done = self.confirmed(done, inspector.as_mut()).await?;
        let left: Vec<_> =
            self.found.items.iter().filter(|item| !done.items.contains(item)).cloned().collect();
        let losses = losses_of(inspector.as_mut()).await;
        let mut signals = EndSignals::listen()?;
        let mut journal = Journal::open(&self.path, &self.header, &done)?;
        let pace = Pace::new(self.revoke.run.rate);
        let reason = &self.revoke.reason;
        let sent = send(&publisher, &left, reason, pace, &mut journal, &mut signals).await;
        let unfinished = self.unfinished(left.len() - sent.published);
        let last = match (sent.end, sent.last.or(done.last)) {
            (End::Complete, Some(last)) => last,
            (End::Complete, None) => return Err(Failure::new("Redis returned no id")),
            (End::Signal(signal), _) => {
                note(unfinished);
                return Ok(Outcome::Signal(signal));
            }
            (End::Failed(failure), _) => {
                return Err(Failure::new(format!("{failure}\n{unfinished}")));
            }
        };
        if let Err(failure) = journal.remove() {
            note(format_args!("{failure}; everything is published: remove the journal by hand"));
        }
        let fleet = match &mut inspector {
            None => None,
            Some(inspector) => tokio::select! {
                signal = signals.next() => {
                    note("everything is published; the replicas were not checked");
                    return Ok(Outcome::Signal(signal));
                }
                report = replicas::wait(inspector, last, &expected, self.revoke.run.timeout) => {
                    let unchecked = "everything is published; the replicas cannot be checked";
                    Some(report.map_err(|error| Failure::new(format!("{unchecked}: {error}")))?)
                }
            },
        };
        let after = losses_of(inspector.as_mut()).await;
        let lost = losses.zip(after).map(|(before, after)| losses::added(&before, &after));
        let is_complete = fleet.as_ref().is_none_or(replicas::Report::is_complete)
            && lost.as_ref().is_none_or(Losses::is_empty);
        let run = Run {
            messages: self.found.items.len(),
            published: sent.published,
            already_published: self.found.items.len() - left.len(),
            seconds: sent.elapsed.as_secs_f64(),
            last: Some(format!("{STREAM}/{last}")),
            fleet,
            lost_by_group: lost,
        };
        self.report(&run, sent.elapsed, json, out)?;
        Ok(if is_complete { Outcome::Ok } else { Outcome::Negative })
    }

    /// Returns the reader of receipts, and the replicas to wait for: those that write receipts now,
    /// and at least as many as the operator expects. Without the right to read receipts, returns no
    /// reader if the operator expects no number.
    async fn fleet(&self) -> Result<(Option<Inspector>, Expected), Failure> {
        let receipts = async {
            let mut inspector = Inspector::connect(&self.settings).await?;
            let receipts = inspector.receipts().await?;
            Ok((inspector, receipts))
        };
        let expect = self.revoke.run.expect;
        match receipts.await {
            Ok((inspector, receipts)) => Ok((Some(inspector), Expected::new(&receipts, expect))),
            Err(error) if lacks_right(&error) && expect == 0 => {
                note(format_args!("the replicas will not be checked: {error}"));
                Ok((None, Expected::new(&[], 0)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fails if the streams are signed with another key. Without the right to read them, checks
    /// nothing.
    async fn check_key(&self, inspector: Option<&mut Inspector>) -> Result<(), Failure> {
        let Some(inspector) = inspector else { return Ok(()) };
        match stream_key::evidence(inspector, &self.settings).await {
            Ok(evidence) => evidence.check("the revocations"),
            Err(error) if lacks_right(&error) => {
                note(format_args!("the stream key will not be checked: {error}"));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what earlier runs have published, if Redis still holds the last of it. Otherwise
    /// Redis may have lost messages, and everything is published again.
    async fn confirmed(
        &self,
        done: Done,
        inspector: Option<&mut Inspector>,
    ) -> Result<Done, Failure> {
        let Some(last) = done.last else { return Ok(done) };
        let found = match inspector {
            Some(inspector) => inspector.entry(STREAM.name(), last).await,
            None => Ok(None),
        };
        if matches!(found, Ok(Some(_))) {
            return Ok(done);
        }
        note(format_args!(
            "{STREAM} does not show message {last} of an earlier run: publishing everything again"
        ));
        journal::remove(&self.path)?;
        Ok(Done::default())
    }

    /// Returns the advice for an unfinished run.
    fn unfinished(&self, left: usize) -> String {
        format!(
            "{} not published. Run the same command again to publish the rest: {} has what is \
             published",
            number(left, "message"),
            self.path.display()
        )
    }

    fn report(
        &self,
        run: &Run,
        elapsed: Duration,
        json: bool,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        if json {
            return write_json(run, out);
        }
        let published = number(run.published, "message");
        writeln!(out, "published {published} in {}", span(elapsed))?;
        if let Some(last) = &run.last {
            writeln!(out, "the last message is {last}")?;
        }
        if let Some(fleet) = &run.fleet {
            writeln!(out, "{fleet}")?;
        }
        for (group, lost) in run.lost_by_group.iter().flatten() {
            let lost = usize::try_from(*lost).unwrap_or(usize::MAX);
            writeln!(
                out,
                "group {} lost {}: the stream was trimmed before it read them. Once it has read the \
                 rest (caracal-streams doctor), run the same command again with a lower --rate",
                plain(group),
                number(lost, "message")
            )?;
        }
        Ok(writeln!(
            out,
            "Postgres is unchanged: revoke the same in Caracal too,\nbecause services forget a \
             revocation after 24 hours"
        )?)
    }
}

/// Returns the losses of consumer groups up to now, if this user may read them.
async fn losses_of(inspector: Option<&mut Inspector>) -> Option<Losses> {
    losses::read(inspector?).await.ok()
}

/// Returns `true` if this user lacks a right.
fn lacks_right(error: &InspectError) -> bool {
    error.kind() == InspectErrorKind::NotAllowed
}

/// Returns the number of messages that earlier runs have published.
fn published_before(found: &Found, done: &Done) -> usize {
    found.items.iter().filter(|item| done.items.contains(item)).count()
}

/// Returns the question to the operator.
fn question(found: &Found, left: usize, rate: u32) -> String {
    let mut text =
        format!("{}\n{}, at most {rate} a second", described(found), number(left, "message"));
    match found.items.len() - left {
        0 => {}
        before => text.push_str(&format!("; an earlier run has published {before} more")),
    }
    if left > LARGE {
        text.push_str(&format!(
            "\nThe stream keeps about {MAX_LEN} messages: a reader that falls further behind loses \
             some. Use a lower --rate, and watch its group with caracal-streams doctor."
        ));
    }
    text.push_str("\nPublish?");
    text
}

/// Returns the source and its counts as text.
fn described(found: &Found) -> String {
    let counts = Counts::of(&found.items);
    // Short lines: a narrow terminal must not cut an id.
    let mut text = format!("revoke {}:\n  {counts}", plain(&found.name));
    if found.repeated > 0 {
        text.push_str(&format!("\n  {} left out", number(found.repeated, "repeated line")));
    }
    if let Some(radius) = &found.radius {
        text.push_str(&format!("\nPostgres holds, with what hangs below:\n{radius}"));
    }
    text
}

/// Writes the result of a dry run.
fn show(found: &Found, left: usize, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if !json {
        let left = number(left, "message");
        return Ok(writeln!(
            out,
            "{}\n{left} to publish; nothing was published",
            described(found)
        )?);
    }
    let run = DryRun {
        source: &found.name,
        counts: Counts::of(&found.items),
        already_published: found.items.len() - left,
        repeated_lines: found.repeated,
        postgres: found.radius.as_ref(),
        revoke: &found.items,
    };
    write_json(&run, out)
}

fn write_json(value: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Returns the time in seconds since the Unix epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
