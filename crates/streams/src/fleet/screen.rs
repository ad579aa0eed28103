//! Draws the live view of a fleet. Narrow terminals get fewer columns.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as TableRow, Table};

use super::lags::Lags;
use super::tracker::{Row, Status, View};
use crate::text::{plain, span};

/// The least width of the column with a replica's name, and the width of its status.
const NAME: u16 = 12;
const STATUS: u16 = 9;
/// The width of each further column.
const NUMBER: u16 = 9;
/// The height of everything around the rows: head, border, header and foot.
const AROUND: u16 = 3 + 3 + 1;

/// The further columns, the most important first.
const COLUMNS: [Column; 5] = [
    Column { title: "behind", text: |row| row.behind.map(span) },
    Column { title: "staleness", text: |row| row.staleness.map(span) },
    Column { title: "lag p95", text: |row| row.lags.map(|lags| span(lags.p95)) },
    Column { title: "lag max", text: |row| row.lags.map(|lags| span(lags.max)) },
    Column { title: "lag p50", text: |row| row.lags.map(|lags| span(lags.p50)) },
];

struct Column {
    title: &'static str,
    text: fn(&Row) -> Option<String>,
}

/// Draws the fleet, and the error that prevents reading it now.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, error: Option<&str>) {
    let [head, table, foot] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(3), Constraint::Length(1)])
            .areas(frame.area());
    let block = Block::bordered().title(" caracal-streams fleet ".bold());
    frame.render_widget(Paragraph::new(summary(view, error)).block(block), head);
    let room = usize::from(frame.area().height.saturating_sub(AROUND));
    draw_table(frame, table, view, room);
    let mut keys = vec![" q".bold(), " quit".into()];
    let hidden = view.replicas.len().saturating_sub(room);
    if hidden > 0 {
        keys.push(format!("  {hidden} more replicas, none worse").yellow());
    }
    frame.render_widget(Paragraph::new(Line::from(keys)).dim(), foot);
}

/// Returns the state of the whole fleet, the most important part first.
fn summary<'v>(view: &View, error: Option<&'v str>) -> Line<'v> {
    if let Some(error) = error {
        return Line::from(format!("NOT CONNECTED: {error}")).red().bold();
    }
    let ready = format!("{} of {} ready", view.ready(), view.all());
    let ready = if view.replicas.is_empty() {
        "no replica writes receipts".red()
    } else if view.is_good() {
        ready.green()
    } else {
        ready.red()
    };
    Line::from(vec![ready.bold(), lags(view.lags.as_ref()).into()])
}

fn lags(lags: Option<&Lags>) -> String {
    let text = |lags: &Lags| {
        let (p50, p95, max) = (span(lags.p50), span(lags.p95), span(lags.max));
        format!("  lag p50 {p50}  p95 {p95}  max {max}")
    };
    lags.map(text).unwrap_or_default()
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, view: &View, room: usize) {
    // Borders, and a gap of one between columns.
    let left = area.width.saturating_sub(2 + NAME + 1 + STATUS);
    let shown = usize::from(left / (NUMBER + 1)).min(COLUMNS.len());
    let columns: Vec<_> = COLUMNS.iter().take(shown).collect();
    let right = |text: String| Cell::from(Line::from(text).alignment(Alignment::Right));
    let row = |row: &Row| {
        let style = match row.status {
            Status::Ready => Style::new().fg(Color::Green),
            Status::Behind | Status::Silent => Style::new().fg(Color::Yellow),
            Status::NotReady | Status::Gone => Style::new().fg(Color::Red),
        };
        let name = Cell::from(plain(&row.replica).into_owned());
        let status = Cell::from(Span::styled(row.status.text(), style.bold()));
        let further =
            columns.iter().map(|column| right((column.text)(row).unwrap_or_else(|| "-".into())));
        TableRow::new([name, status].into_iter().chain(further))
    };
    let titles = columns.iter().map(|column| right(column.title.to_owned()).dim());
    let header = [Cell::from("replica").dim(), Cell::from("state").dim()];
    let widths = [Constraint::Fill(1), Constraint::Length(STATUS)];
    let widths = widths.into_iter().chain(columns.iter().map(|_| Constraint::Length(NUMBER)));
    let table = Table::new(view.replicas.iter().take(room).map(row), widths)
        .header(TableRow::new(header.into_iter().chain(titles)))
        .block(Block::bordered().title(" replicas, the worst first "));
    frame.render_widget(table, area);
}

/// Returns the view as one line, for output that is no terminal.
pub(super) fn line(view: &View) -> String {
    if view.replicas.is_empty() {
        return format!("0 of {} ready: no replica writes receipts", view.all());
    }
    let mut text = format!("{} of {} ready", view.ready(), view.all());
    text.push_str(&lags(view.lags.as_ref()));
    for row in view.replicas.iter().filter(|row| row.status != Status::Ready) {
        let since = match row.status {
            Status::Behind => row.behind.unwrap_or(Duration::ZERO),
            _ => row.receipt,
        };
        let (name, status) = (plain(&row.replica), row.status.text());
        text.push_str(&match row.status {
            Status::NotReady => format!("  {name} {status}"),
            _ => format!("  {name} {status} {}", span(since)),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn row(replica: &str, status: Status) -> Row {
        let second = Duration::from_secs(1);
        Row {
            replica: replica.to_owned(),
            status,
            staleness: Some(second),
            receipt: second * 8,
            behind: (status == Status::Behind).then_some(second * 3),
            lags: Lags::of([Duration::from_millis(2)].into_iter()),
        }
    }

    fn view(replicas: Vec<Row>) -> View {
        let lags = Lags::of([Duration::from_millis(2)].into_iter());
        View { expected: 3, replicas, lags }
    }

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, None)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn narrow_terminal_keeps_name_and_state() {
        let view = view(vec![row("gateway-2", Status::Behind), row("gateway-1", Status::Ready)]);
        for width in [30, 40, 80, 132] {
            let shown = drawn(&view, width, 12);
            for part in ["gateway-2", "BEHIND", "gateway-1", "1 of 3 ready"] {
                assert!(shown.contains(part), "{width}: {part}\n{shown}");
            }
        }
        assert!(!drawn(&view, 30, 12).contains("behind"));
        assert!(drawn(&view, 40, 12).contains("behind"));
        assert!(drawn(&view, 80, 12).contains("lag p50"));
    }

    #[test]
    fn no_size_of_terminal_panics() {
        let view = view((0..9).map(|n| row(&n.to_string(), Status::Ready)).collect());
        for size in 1..30 {
            drawn(&view, size, 12);
            drawn(&view, 80, size);
        }
        assert!(drawn(&view, 60, 10).contains("6 more replicas"));
    }

    #[test]
    fn line_names_each_replica_that_is_not_ready() {
        let view = view(vec![row("a\u{1b}", Status::Gone), row("b", Status::Behind)]);
        let expected = "0 of 3 ready  lag p50 2 ms  p95 2 ms  max 2 ms  a\\u{1b} GONE 8.0 s  b \
                        BEHIND 3.0 s";
        assert_eq!(line(&view), expected);
    }
}
