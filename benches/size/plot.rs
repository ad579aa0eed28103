//! A line plot as SVG, with sizes in powers of ten on the x axis and costs from zero on the y axis.

use std::fmt::Write;

use crate::figures::shown;

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
/// Room for the name at the end of each line.
const RIGHT: f64 = 190.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;
/// Readable on white and on black.
const TEXT: &str = "#7d8590";
const LINES: [&str; 4] = ["#3f83f8", "#e0812f", "#2f9e6e", "#b065d8"];

pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// Sizes and costs.
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) fn draw(title: &str, sizes: &str, costs: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let first = all().map(|(size, _)| size.log10()).fold(f64::MAX, f64::min);
    let last = all().map(|(size, _)| size.log10()).fold(f64::MIN, f64::max);
    let step = nice(all().map(|(_, cost)| cost).fold(0.0, f64::max) / 4.0);
    let top = step * (all().map(|(_, cost)| cost).fold(0.0, f64::max) / step).ceil();
    let x = |size: f64| LEFT + (size.log10() - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let y = |cost: f64| HEIGHT - BOTTOM - cost / top * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n"
    );
    let mut text = |at: (f64, f64), anchor: &str, fill: &str, more: &str, label: &str| {
        let (x, y) = at;
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{more}>{label}</text>"
        );
    };
    text((LEFT, 20.0), "start", TEXT, " font-weight=\"600\" font-size=\"15\"", title);
    text((LEFT - 8.0, TOP - 12.0), "end", TEXT, "", costs);
    text(((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0), "middle", TEXT, "", sizes);
    let mut cost = 0.0;
    while cost <= top + step / 2.0 {
        text((LEFT - 8.0, y(cost) + 4.0), "end", TEXT, "", &shown_round(cost));
        cost += step;
    }
    for power in first.ceil() as i32..=last.floor() as i32 {
        let size = 10_f64.powi(power);
        let label = format!("10<tspan dy=\"-5\" font-size=\"10\">{power}</tspan>");
        text((x(size), HEIGHT - BOTTOM + 20.0), "middle", TEXT, "", &label);
    }
    // Moves names apart that would overlap.
    let mut ends: Vec<_> = lines.iter().zip(LINES).collect();
    let end = |line: &Line| line.points.last().map_or(0.0, |(_, cost)| *cost);
    ends.sort_by(|(one, _), (other, _)| end(other).total_cmp(&end(one)));
    let mut lowest = f64::MIN;
    for (line, colour) in &ends {
        lowest = (y(end(line)) + 4.0).max(lowest + 16.0);
        let label = format!("{}: {}", line.name, shown(end(line)));
        text((WIDTH - RIGHT + 10.0, lowest), "start", colour, "", &label);
    }

    let mut cost = 0.0;
    while cost <= top + step / 2.0 {
        let (y, right) = (y(cost), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"{TEXT}\" stroke-opacity=\".3\"/>"
        );
        cost += step;
    }
    for (line, colour) in lines.iter().zip(LINES) {
        let points =
            line.points.iter().map(|(size, cost)| format!("{:.1},{:.1}", x(*size), y(*cost)));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>"
        );
        for (size, cost) in &line.points {
            let (x, y) = (x(*size), y(*cost));
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
    }
    svg + "</svg>\n"
}

/// Returns the smallest of 1, 2 or 5 times a power of ten that is at least this.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

fn shown_round(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
