//! Parses the values of single settings: bounds, flags, and secrets that may be in a file.

use std::path::Path;
use std::time::Duration;

use caracal_revocation_state::Options;
use zeroize::Zeroizing;

use super::error::{Problem, SettingsError};

const STRICT: &str = "REVOCATION_STRICT";
const DENY_AFTER: &str = "REVOCATION_DENY_AFTER_MS";
const WARN_AFTER: &str = "REVOCATION_WARN_AFTER_MS";
const READ_INTERVAL: &str = "REVOCATION_READ_INTERVAL_MS";

/// The longest interval between two reads: a revocation is late by as much.
const LONGEST_READ_INTERVAL: Duration = Duration::from_millis(100);

/// Returns the staleness bounds and the strict mode.
pub(super) fn options(lookup: &impl Fn(&str) -> Option<String>) -> Result<Options, SettingsError> {
    let mut options = if flag(lookup, STRICT)? { Options::strict() } else { Options::default() };
    if let Some(bound) = milliseconds(lookup, DENY_AFTER)? {
        options.deny_after = bound;
        options.warn_after = options.warn_after.min(bound);
    }
    if let Some(bound) = milliseconds(lookup, WARN_AFTER)? {
        options.warn_after = bound;
    }
    options.check().map_err(|error| {
        let setting = if error.setting() == "warn_after" { WARN_AFTER } else { DENY_AFTER };
        SettingsError::new(setting, Problem::Bound(error))
    })?;
    Ok(options)
}

/// Returns the shortest time between two reads while messages come; unset means none.
pub(super) fn read_interval(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Duration, SettingsError> {
    match milliseconds(lookup, READ_INTERVAL)?.unwrap_or_default() {
        interval if interval <= LONGEST_READ_INTERVAL => Ok(interval),
        _ => Err(SettingsError::new(READ_INTERVAL, Problem::TooLong(LONGEST_READ_INTERVAL))),
    }
}

/// Returns the value of a setting that is `true` or `false`; unset counts as `false`.
pub(super) fn flag(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<bool, SettingsError> {
    match lookup(name).as_deref().map(str::trim) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(SettingsError::new(name, Problem::NotAFlag)),
    }
}

fn milliseconds(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<Duration>, SettingsError> {
    let Some(text) = lookup(name) else { return Ok(None) };
    let number =
        text.trim().parse().map_err(|_| SettingsError::new(name, Problem::NotMilliseconds))?;
    Ok(Some(Duration::from_millis(number)))
}

/// Returns the content of the file that the setting `file` names, or else the value of the setting
/// `name`. The file takes precedence, as for Caracal's own services.
pub(super) fn secret(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    file: &'static str,
) -> Result<Option<Zeroizing<String>>, SettingsError> {
    let Some(path) = lookup(file) else { return Ok(lookup(name).map(Zeroizing::new)) };
    std::fs::read_to_string(Path::new(&path))
        .map(|text| Some(Zeroizing::new(text)))
        .map_err(|error| SettingsError::new(file, Problem::Unreadable(error.kind())))
}
