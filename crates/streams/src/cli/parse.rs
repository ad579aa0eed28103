//! Parses the values of flags.

use std::time::Duration;

use caracal_revocation_event::{OccurredAt, Stream, StreamId};

/// The position to begin at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Begin with messages added from now on.
    Now,
    /// Begin with this entry.
    Id(StreamId),
}

pub(super) fn stream(text: &str) -> Result<Stream, String> {
    Stream::from_name(text).ok_or_else(|| {
        let names = Stream::ALL.map(Stream::name);
        format!("expected one of {}", names.join(", "))
    })
}

/// Parses `$`, an id, or the milliseconds of an id.
pub(super) fn from(text: &str) -> Result<From, String> {
    if text == "$" {
        return Ok(From::Now);
    }
    let whole = if text.contains('-') { text.to_owned() } else { format!("{text}-0") };
    whole.parse::<StreamId>().map(From::Id).map_err(|error| format!("{error}, or 0, or $"))
}

/// Parses a whole number of milliseconds, seconds, minutes, hours or days.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let invalid = || "expected a time span, such as 500ms, 30s, 15m, 2h or 1d".to_owned();
    if let Some(digits) = text.strip_suffix("ms") {
        return digits.parse().map(Duration::from_millis).map_err(|_| invalid());
    }
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(invalid()),
    };
    let digits = text.strip_suffix(unit).ok_or_else(invalid)?;
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(invalid)
}

/// Parses an id for a message: text of one line, not empty and not `null`.
pub(crate) fn one_line(text: &str) -> Result<String, String> {
    match text {
        "" | "null" => Err("consumers would treat it as absent".to_owned()),
        _ if text.contains('\n') => Err("contains a newline: consumers would ignore it".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Parses the URL of a service. A login in it is rejected: others can read command lines.
pub(super) fn http_url(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error| format!("{error}"))?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    if !is_http || url.host().is_none_or(str::is_empty) {
        return Err("expected http://HOST or https://HOST".to_owned());
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("contains a login: remove it".to_owned());
    }
    Ok(url)
}

pub(super) fn occurred(text: &str) -> Result<OccurredAt, String> {
    OccurredAt::parse(text)
        .ok_or_else(|| "expected a time, such as 2026-11-20T10:00:00.000Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_plain_urls_of_services() {
        assert!(http_url("http://gw-1:9464/ready").is_ok() && http_url("https://gw").is_ok());
        for url in ["gw-1", "ftp://gw", "http://", "http://user:pw@gw", "/ready"] {
            assert!(http_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn parses_ids_and_spans_and_rejects_others() {
        assert!(matches!(from("$"), Ok(From::Now)));
        assert!(matches!(from("0"), Ok(From::Id(StreamId::ZERO))));
        assert!(matches!(from("7-3"), Ok(From::Id(StreamId { ms: 7, seq: 3 }))));
        assert!(["", "-", "x", "1-", "+1"].iter().all(|text| from(text).is_err()));
        assert_eq!(span("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert!(
            ["", "m", "ms", "1", "1w", "-1s", "1mm", "-1ms", "99999999999999999d"]
                .iter()
                .all(|text| span(text).is_err())
        );
    }
}
