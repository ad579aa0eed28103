//! Draws the full-screen view.

use std::collections::VecDeque;
use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::Revocations;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::bar::NINE_LEVELS;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};

use super::tally::{BOUNDS_MS, PerStream, ShownMessage, Tally, WINDOW};

/// The widths of the column with a stream's name, at most 30 letters, and of its number columns.
const COLUMNS: [u16; 5] = [30, 9, 9, 7, 8];

/// The state of the view, apart from the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// `true` once the history has been read to its end.
    pub(super) is_live: bool,
    /// The list of messages at the time of the pause, if it is paused.
    pub(super) paused: Option<VecDeque<ShownMessage>>,
    /// The error that prevents reading the streams now.
    pub(super) error: Option<String>,
    /// The number of dead letters per stream, if known.
    pub(super) dead_letters: [Option<u64>; Stream::ALL.len()],
}

pub(super) fn draw(frame: &mut Frame<'_>, view: &View, tally: &Tally, state: &Revocations) {
    let rows = Stream::ALL.len() as u16 + 3;
    let [head, streams, rest, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(rows),
        Constraint::Min(6),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [delays, last] =
        Layout::horizontal([Constraint::Length(34), Constraint::Min(30)]).areas(rest);
    draw_head(frame, head, view, tally, state);
    draw_streams(frame, streams, view, tally);
    draw_delays(frame, delays, tally);
    draw_last(frame, last, view, tally);
    let keys =
        Line::from(vec![" q".bold(), " quit  ".into(), "p".bold(), " pause the list".into()]);
    frame.render_widget(Paragraph::new(keys).dim(), foot);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View, tally: &Tally, state: &Revocations) {
    let status = match (&view.error, view.is_live) {
        (Some(error), _) => Span::from(format!("NOT CONNECTED: {error}")).red().bold(),
        (None, false) => "reading history".yellow(),
        (None, true) => "live".green().bold(),
    };
    let options = state.options();
    let staleness = match state.staleness(state.now()) {
        Err(why) => Span::from(format!("no proof yet ({why:?})")).red().bold(),
        Ok(age) if age > options.deny_after => Span::from(seconds(age)).red().bold(),
        Ok(age) if age > options.warn_after => Span::from(seconds(age)).yellow(),
        Ok(age) => Span::from(seconds(age)).green(),
    };
    let horizon = match state.horizon() {
        None => "none".green(),
        Some(second) => Span::from(format!("tokens issued up to {second} are denied")).red().bold(),
    };
    let [current, previous, unsigned] = tally.keys;
    let first = vec![status, "  staleness ".dim(), staleness, "  horizon ".dim(), horizon];
    let second = vec![
        format!("{} anchors and sessions", state.entries()).into(),
        "  signed by ".dim(),
        format!("current {current}  previous {previous}").into(),
        if unsigned > 0 { format!("  UNSIGNED {unsigned}").red().bold() } else { "".into() },
    ];
    let block = Block::bordered().title(" caracal-streams watch ".bold());
    frame.render_widget(Paragraph::new(vec![first.into(), second.into()]).block(block), area);
}

fn draw_streams(frame: &mut Frame<'_>, area: Rect, view: &View, tally: &Tally) {
    let header = ["stream", "  applied", " rejected", "   dead", "   msg/s", "last minute"];
    // Names, numbers, gaps and borders keep their full width. The remaining width shows the last
    // minute.
    let taken = COLUMNS.iter().sum::<u16>() + 5 + 2;
    let seconds = usize::from(area.width.saturating_sub(taken)).min(WINDOW);
    let row = |stream: Stream, seen: &PerStream, dead: Option<u64>| {
        let alarm = |count: u64| {
            let text = Line::from(count.to_string()).alignment(Alignment::Right);
            if count > 0 { text.red().bold() } else { text.dim() }
        };
        let right = |text: String| Line::from(text).alignment(Alignment::Right);
        Row::new(vec![
            Cell::from(stream.name()),
            Cell::from(right(seen.applied.to_string())),
            Cell::from(alarm(seen.rejected)),
            Cell::from(dead.map_or_else(|| right("?".to_owned()), alarm)),
            Cell::from(right(format!("{:.1}", seen.rate()))),
            Cell::from(Line::from(sparkline(&seen.seconds().split_off(WINDOW - seconds))).cyan()),
        ])
    };
    let rows = Stream::ALL.into_iter().zip(&tally.streams).zip(view.dead_letters);
    let rows = rows.map(|((stream, seen), dead)| row(stream, seen, dead));
    let [name, applied, rejected, dead, rate] = COLUMNS.map(Constraint::Length);
    let widths = [name, applied, rejected, dead, rate, Constraint::Fill(1)];
    let table = Table::new(rows, widths)
        .header(Row::new(header.map(|title| Cell::from(title.dim()))))
        .block(Block::bordered().title(" streams "));
    frame.render_widget(table, area);
}

/// Returns one bar per second, scaled to the largest value.
fn sparkline(seconds: &[u64]) -> String {
    let levels = [
        NINE_LEVELS.empty,
        NINE_LEVELS.one_eighth,
        NINE_LEVELS.one_quarter,
        NINE_LEVELS.three_eighths,
        NINE_LEVELS.half,
        NINE_LEVELS.five_eighths,
        NINE_LEVELS.three_quarters,
        NINE_LEVELS.seven_eighths,
        NINE_LEVELS.full,
    ];
    let most = seconds.iter().copied().max().unwrap_or(0).max(1);
    let level = |count: &u64| usize::try_from((count * 8).div_ceil(most)).unwrap_or(8);
    seconds.iter().filter_map(|count| levels.get(level(count))).copied().collect()
}

fn draw_delays(frame: &mut Frame<'_>, area: Rect, tally: &Tally) {
    let most = tally.delays.iter().copied().max().unwrap_or(0).max(1);
    let bounds = BOUNDS_MS.iter().map(|ms| format!("< {}", milliseconds(*ms)));
    let labels = bounds.chain([format!("≥ {}", milliseconds(60_000))]);
    let lines = labels.zip(tally.delays).map(|(label, count)| {
        let length = usize::try_from((count * 14).div_ceil(most)).unwrap_or(0);
        Line::from(vec![
            format!("{label:>8} ").dim(),
            Span::styled("█".repeat(length), Style::new().fg(Color::Cyan)),
            if count > 0 { format!(" {count}").into() } else { "".into() },
        ])
    });
    let block = Block::bordered().title(" from Redis to here ");
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn draw_last(frame: &mut Frame<'_>, area: Rect, view: &View, tally: &Tally) {
    let (title, list) = match &view.paused {
        Some(list) => (" last messages (paused) ", list),
        None => (" last messages ", &tally.last),
    };
    let block = Block::bordered().title(title);
    let lines: Vec<_> = list.iter().take(area.height.into()).map(last_line).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn last_line(seen: &ShownMessage) -> Line<'_> {
    let outcome = if seen.applied { "applied ".green() } else { "REJECTED".red().bold() };
    let short = seen.stream.name().trim_start_matches("caracal.");
    Line::from(vec![
        Span::from(format!("{} ", seen.id)).dim(),
        outcome,
        format!(" {short} ").cyan(),
        seen.line.as_str().into(),
    ])
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

fn milliseconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{} s", ms / 1_000) }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn shows_whole_stream_names_at_common_widths() {
        let longest = Stream::ALL.into_iter().map(|stream| stream.name().len()).max();
        assert!(longest <= Some(COLUMNS[0].into()), "{longest:?}");
        let tally = Tally::new();
        for width in [72, 80, 100, 200] {
            let mut terminal = Terminal::new(TestBackend::new(width, 12)).unwrap();
            terminal
                .draw(|frame| draw_streams(frame, frame.area(), &View::default(), &tally))
                .unwrap();
            let shown = terminal.backend().to_string();
            assert!(Stream::ALL.iter().all(|stream| shown.contains(stream.name())), "{shown}");
        }
    }

    #[test]
    fn scales_bars_and_shows_single_messages() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
    }
}
