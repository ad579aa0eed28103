//! Values that are written the same way in several settings.

use super::error::ConfigError;

pub(super) fn parse_bool(setting: &str, value: &str) -> Result<bool, ConfigError> {
    match value.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ConfigError::new(setting, "expected true or false")),
    }
}

pub(super) fn split_list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}
