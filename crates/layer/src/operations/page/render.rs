//! The HTML of the page. Every value is escaped by the template library.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::status::{Count, Details, Messages, ReloadStatus, Status, StreamStatus};
use super::headline::{Headline, Level, moment};
use super::words::{ago, bytes, duration};

const STYLE: &str = include_str!("style.css");

/// Lets the page use its own style and nothing else. A test compares the digest with the style.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
     style-src 'sha256-55ZvNDpY4Vt3CdjPL3YAFHzO3yAah+0OEo+JGakpypw='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The seconds after which the page loads itself again.
const EVERY: u32 = 5;

/// The choice to load the page again at intervals, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    On,
    Off,
}

impl Refresh {
    /// Returns the choice in the query of the request: `refresh=off` stops it.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let mut parts = query.unwrap_or_default().split('&');
        if parts.any(|part| part == "refresh=off") { Self::Off } else { Self::On }
    }
}

/// Returns the page. `hidden` is the reason that it has no details, if it has none.
pub(crate) fn render(status: &Status, hidden: &str, refresh: Refresh) -> String {
    let Headline { level, state, effect } = Headline::of(status);
    let (class, mark) = match level {
        Level::Good => ("state good", "✓"),
        Level::Warning => ("state warn", "!"),
        Level::Bad => ("state bad", "✕"),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if refresh == Refresh::On {
                    meta http-equiv="refresh" content=(EVERY);
                }
                title { (state) " · Caracal revocation" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(class) {
                    h1 { span aria-hidden="true" { (mark) " " } (state) }
                    p { (effect) }
                }
                main {
                    @if let Some(advice) = status.report.advice {
                        h2 { "What to do" }
                        p { (capitalized(advice)) "." }
                    }
                    (view(status))
                    @match &status.details {
                        Some(details) => (all_details(details)),
                        None => {
                            h2 { "Details" }
                            p { (hidden) }
                        }
                    }
                }
                footer { (footer(refresh)) }
            }
        }
    };
    page.into_string()
}

fn footer(refresh: Refresh) -> Markup {
    html! {
        @match refresh {
            Refresh::On => {
                p {
                    "The page loads itself again every " (EVERY) " seconds. "
                    a href="?refresh=off" { "Stop that" } "."
                }
            }
            Refresh::Off => {
                p { "The page does not load itself again. " a href="?" { "Start that" } "." }
            }
        }
    }
}

/// The facts that `/ready` shows too.
fn view(status: &Status) -> Markup {
    let report = &status.report;
    let bound = duration(status.staleness_bound_seconds);
    html! {
        h2 { "View" }
        dl {
            dt { "Last proven complete" }
            dd {
                @match report.staleness_seconds {
                    Some(age) => { (duration(age)) " ago (bound " (bound) ")" },
                    None => { "never (bound " (bound) ")" },
                }
            }
            @if let Some(reason) = report.reason { dt { "Reason" } dd { code { (reason) } } }
            dt { "Outage" }
            dd { @if let Some(outage) = report.outage { code { (outage) } } @else { "none" } }
            @if let Some(degraded) = report.degraded { dt { "Alarm" } dd { code { (degraded) } } }
            dt { "Horizon" }
            dd {
                @match report.horizon {
                    Some(horizon) => {
                        "tokens issued up to " (moment(horizon, status.unix_now)) " are denied"
                    },
                    None => "none",
                }
            }
        }
    }
}

fn all_details(details: &Details) -> Markup {
    html! {
        h2 id="streams" { "Streams" }
        @if details.streams.is_empty() {
            p { "No stream was read yet." }
        } @else {
            (streams(&details.streams))
        }
        h2 id="gaps" { "Suspected gaps" }
        p { (listed(&details.suspected_gaps, "none since the start")) }
        h2 id="keys" { "Keys" }
        dl {
            @for key in &details.keys {
                dt { (key.slot) }
                dd { (messages(&key.verified, "verified")) }
            }
            dt { "no accepted key" }
            dd { (messages(&details.bad_signatures, "rejected")) }
        }
        h2 id="baseline" { "Baseline" }
        @match &details.baseline {
            None => p { "not configured" },
            Some(baseline) => dl {
                dt { "Read" } dd { (ago(baseline.read_seconds_ago)) }
                dt { "Read completely" }
                dd {
                    (ago(baseline.complete_read_seconds_ago)) ", " (baseline.facts) " facts found"
                }
                (error(baseline.error.as_deref()))
            },
        }
        h2 id="snapshot" { "Snapshot" }
        @match &details.snapshot {
            None => p { "not configured" },
            Some(snapshot) => dl {
                dt { "Restored at the start" } dd { @if snapshot.restored { "yes" } @else { "no" } }
                dt { "Written" } dd { (ago(snapshot.written_seconds_ago)) }
                (error(snapshot.error.as_deref()))
            },
        }
        h2 id="reload" { "Last reload" }
        @match &details.reload {
            None => p { "none was requested" },
            Some(last) => (reload(last)),
        }
        h2 id="process" { "Process" }
        dl {
            dt { "Version" } dd { (details.version) }
            dt { "Up for" } dd { (duration(details.uptime_seconds)) }
            dt { "Entries" }
            dd {
                (details.entries) " of at most " (details.max_entries)
                " (" (bytes(details.index_bytes)) ")"
            }
            dt { "Strict mode" } dd { @if details.strict { "on" } @else { "off" } }
        }
    }
}

// The roles are those of the elements. Narrow screens show a table as blocks, and a browser then
// drops the roles that are not written.
fn streams(streams: &[StreamStatus]) -> Markup {
    html! {
        table role="table" aria-labelledby="streams" {
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { "Stream" }
                    th role="columnheader" scope="col" { "Read up to" }
                    th role="columnheader" scope="col" { "Proven complete" }
                    th role="columnheader" scope="col" { "Gaps" }
                }
            }
            tbody role="rowgroup" {
                @for stream in streams {
                    tr role="row" {
                        th role="rowheader" scope="row" { (stream.stream) }
                        td role="cell" data-label="Read up to" {
                            @if stream.exists { code { (stream.cursor) } } @else { "does not exist" }
                            @if stream.replayed < 1.0 {
                                " (" (format!("{:.0}", 100.0 * stream.replayed)) " % of its history)"
                            }
                        }
                        td role="cell" data-label="Proven complete" { (ago(stream.proven_seconds_ago)) }
                        td role="cell" data-label="Gaps" { (listed(&stream.gaps, "none")) }
                    }
                }
            }
        }
    }
}

fn reload(reload: &ReloadStatus) -> Markup {
    html! {
        dl {
            dt { "State" } dd { (reload.state) }
            dt { "Requested" } dd { (ago(reload.requested_seconds_ago)) }
            @if reload.ended_seconds_ago.is_some() {
                dt { "Ended" } dd { (ago(reload.ended_seconds_ago)) }
            }
            dt { "Messages read again" } dd { (reload.messages) }
            (error(reload.streams_error))
            (error(reload.baseline_error.as_deref()))
        }
    }
}

fn error(error: Option<&str>) -> Markup {
    html! {
        @if let Some(error) = error {
            dt { "Error" }
            dd { strong class="alarm" { (error) } }
        }
    }
}

fn listed(counts: &[Count], none: &str) -> Markup {
    html! {
        @if counts.is_empty() { (none) }
        @for (nth, count) in counts.iter().enumerate() {
            @if nth > 0 { ", " }
            strong class="alarm" { (count.count) " " (count.cause) }
            " (" (ago(count.last_seconds_ago)) ")"
        }
    }
}

fn messages(messages: &Messages, verb: &str) -> Markup {
    html! {
        (messages.messages) @if messages.messages == 1 { " message " } @else { " messages " } (verb)
        @if messages.last_seconds_ago.is_some() {
            ", the last " (ago(messages.last_seconds_ago))
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
