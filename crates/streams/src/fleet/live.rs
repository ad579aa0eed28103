//! Reads the receipts again and again, and shows them: full-screen, or as lines.

use std::io::Write;
use std::time::Duration;

use caracal_revocation_admin::{Inspector, KeyReport};
use caracal_revocation_event::{Stream, StreamId};
use caracal_revocation_stream::{InspectError, InspectErrorKind, Settings};
use ratatui::DefaultTerminal;
use tokio::time::{Instant, sleep};

use super::screen::{draw, line};
use super::tracker::Tracker;
use crate::cli::FleetArgs;
use crate::full_screen::{KeyCommand, Keyboard, full_screen};
use crate::outcome::{Failure, Outcome};
use crate::output::{Output, note};
use crate::settings::Sources;

/// The time between two readings for the screen.
const FRAME: Duration = Duration::from_millis(500);
/// The time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Reads the fleet, and tracks it.
struct Reader<'s> {
    settings: &'s Settings,
    inspector: Option<Inspector>,
    tracker: Tracker,
    begun: Instant,
    /// `false` once the server denied the right to `XINFO`.
    may_read_ends: bool,
}

impl<'s> Reader<'s> {
    /// Connects, so that errors of settings appear before the first view.
    async fn connect(settings: &'s Settings) -> Result<Self, InspectError> {
        let inspector = Some(Inspector::connect(settings).await?);
        let (tracker, begun) = (Tracker::default(), Instant::now());
        Ok(Self { settings, inspector, tracker, begun, may_read_ends: true })
    }

    /// Reads the receipts. After an error, the next call connects again.
    async fn read(&mut self) -> Result<(), InspectError> {
        let mut inspector = match self.inspector.take() {
            Some(inspector) => inspector,
            None => Inspector::connect(self.settings).await?,
        };
        let ends = self.ends(&mut inspector).await?;
        let receipts = inspector.receipts().await?;
        self.tracker.take(receipts, ends, self.begun.elapsed());
        self.inspector = Some(inspector);
        Ok(())
    }

    /// Returns the id of the last message of each stream, where this user may ask for it.
    async fn ends(
        &mut self,
        inspector: &mut Inspector,
    ) -> Result<[Option<StreamId>; Stream::ALL.len()], InspectError> {
        let mut ends = [None; Stream::ALL.len()];
        for (stream, end) in Stream::ALL.into_iter().zip(&mut ends) {
            if !self.may_read_ends {
                break;
            }
            match inspector.stream(stream.name()).await {
                Ok(KeyReport::Stream(report)) => *end = Some(report.last),
                Ok(KeyReport::Missing | KeyReport::NoStream) => {}
                Err(error) if error.kind() == InspectErrorKind::NotAllowed => {
                    self.may_read_ends = false;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ends)
    }
}

/// Shows the fleet on the whole terminal, until the user quits.
pub(crate) async fn screen(sources: &Sources, args: &FleetArgs) -> Result<Outcome, Failure> {
    let settings = sources.server()?;
    let mut reader = Reader::connect(&settings).await?;
    full_screen(async |terminal, keys| show(terminal, keys, &mut reader, args.expect).await).await
}

async fn show(
    terminal: &mut DefaultTerminal,
    keys: &mut Keyboard,
    reader: &mut Reader<'_>,
    expected: usize,
) -> Result<Outcome, Failure> {
    loop {
        let reading = async {
            let error = reader.read().await.err().map(|error| error.to_string());
            let view = reader.tracker.view(expected, reader.begun.elapsed());
            terminal.draw(|frame| draw(frame, &view, error.as_deref()))?;
            sleep(FRAME).await;
            Ok::<_, Failure>(())
        };
        tokio::select! {
            result = reading => result?,
            () = quits(keys) => return Ok(Outcome::Ok),
        }
    }
}

/// Waits until the user quits.
async fn quits(keys: &mut Keyboard) {
    while keys.recv().await.is_some_and(|command| command != KeyCommand::Quit) {}
}

/// Writes one line or JSON object a second, until the output has no reader.
pub(crate) async fn lines(
    sources: &Sources,
    args: &FleetArgs,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let settings = sources.server()?;
    let mut reader = Reader::connect(&settings).await?;
    let mut reported = None;
    while !out.is_closed() {
        match reader.read().await {
            Ok(()) => {
                reported = None;
                let view = reader.tracker.view(args.expect, reader.begun.elapsed());
                if args.json {
                    serde_json::to_writer(&mut *out, &view)?;
                    writeln!(out)?;
                } else {
                    writeln!(out, "{}", line(&view))?;
                }
                out.flush()?;
            }
            Err(error) => {
                if reported.as_ref() != Some(&error) {
                    note(format_args!("caracal-streams: {error}; retrying"));
                    reported = Some(error);
                }
            }
        }
        sleep(LINE_EVERY).await;
    }
    Ok(Outcome::Ok)
}
