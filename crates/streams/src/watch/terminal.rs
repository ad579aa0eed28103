//! Runs the full-screen view: reads the streams and the keyboard, and draws four times a second.

use std::time::{Duration, Instant, SystemTime};

use caracal_revocation_admin::{Inspector, KeyReport};
use caracal_revocation_event::Stream;
use caracal_revocation_stream::{Settings, StreamTail};
use ratatui::DefaultTerminal;

use super::screen::{View, draw};
use super::tally::{ShownMessage, Tally};
use super::{PAUSE, open};
use crate::cli::WatchArgs;
use crate::full_screen::{KeyCommand, Keyboard, full_screen};
use crate::outcome::{Failure, Outcome};
use crate::settings::Sources;

const FRAME: Duration = Duration::from_millis(250);
/// The time between two counts of the dead-letter streams.
const COUNT_EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn screen(sources: &Sources, args: &WatchArgs) -> Result<Outcome, Failure> {
    let settings = sources.settings()?;
    // Opened before the terminal changes mode, so that errors of settings appear as plain text.
    let mut watch = open(sources, args).await?;
    full_screen(async |terminal, keys| show(terminal, keys, &settings, &mut watch).await).await
}

/// Shows the view until the user quits.
async fn show(
    terminal: &mut DefaultTerminal,
    keys: &mut Keyboard,
    settings: &Settings,
    watch: &mut StreamTail,
) -> Result<Outcome, Failure> {
    let mut view = View::default();
    let mut tally = Tally::new();
    let mut counter = Counter::new(settings);
    let mut drawn: Option<Instant> = None;
    loop {
        let mut fresh = Vec::new();
        let mut is_live = false;
        let quit = {
            let round = watch.round(FRAME, |message| fresh.push(ShownMessage::of(&message)));
            let mut round = std::pin::pin!(round);
            loop {
                tokio::select! {
                    round = &mut round => {
                        view.error = round.as_ref().err().map(ToString::to_string);
                        is_live = round.is_ok_and(|round| round.is_live);
                        break false;
                    }
                    command = keys.recv() => match command {
                        Some(KeyCommand::Pause) => view.paused = view.paused.is_none().then(|| tally.last.clone()),
                        Some(KeyCommand::Quit) | None => break true,
                    },
                }
            }
        };
        if quit {
            return Ok(Outcome::Ok);
        }
        if view.error.is_some() {
            tokio::time::sleep(PAUSE).await;
        }
        view.is_live |= is_live;
        tally.take(fresh, is_live, unix_time());
        // Does not draw for every message: more may be waiting.
        if drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            continue;
        }
        drawn = Some(Instant::now());
        view.dead_letters = counter.count().await;
        terminal.draw(|frame| draw(frame, &view, &tally, watch.revocations()))?;
    }
}

/// Counts the dead-letter streams every two seconds, on a separate connection.
struct Counter<'s> {
    settings: &'s Settings,
    inspector: Option<Inspector>,
    counted: Option<Duration>,
    lengths: [Option<u64>; Stream::ALL.len()],
}

impl<'s> Counter<'s> {
    const fn new(settings: &'s Settings) -> Self {
        Self { settings, inspector: None, counted: None, lengths: [None; Stream::ALL.len()] }
    }

    /// Returns the number of dead letters per stream, if known. Counts again after `COUNT_EVERY`.
    async fn count(&mut self) -> [Option<u64>; Stream::ALL.len()] {
        let now = unix_time();
        if self.counted.is_none_or(|counted| now.saturating_sub(counted) >= COUNT_EVERY) {
            self.counted = Some(now);
            self.lengths = [None; Stream::ALL.len()];
            if self.inspector.is_none() {
                self.inspector = Inspector::connect(self.settings).await.ok();
            }
            for (stream, length) in Stream::ALL.into_iter().zip(&mut self.lengths) {
                let Some(inspector) = &mut self.inspector else { break };
                match inspector.stream(&format!("{stream}.dead")).await {
                    Ok(KeyReport::Stream(report)) => *length = Some(report.length),
                    Ok(KeyReport::Missing) => *length = Some(0),
                    Ok(KeyReport::NoStream) => {}
                    // The next count connects again.
                    Err(_) => self.inspector = None,
                }
            }
        }
        self.lengths
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
