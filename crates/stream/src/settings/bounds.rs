//! The staleness bounds, and whether strict mode is on.

use std::time::Duration;

use caracal_revocation_state::Options;

use super::{Problem, SettingsError};

const STRICT: &str = "REVOCATION_STRICT";
const DENY_AFTER: &str = "REVOCATION_DENY_AFTER_MS";
const WARN_AFTER: &str = "REVOCATION_WARN_AFTER_MS";

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
