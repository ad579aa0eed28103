//! The settings of the operations listener.

use std::path::PathBuf;

use super::error::ConfigError;
use super::file;
use super::values::parse_bool;

const RELOAD_TOKEN: &str = "CARACAL_GUARD_RELOAD_TOKEN";
const RELOAD_TOKEN_FILE: &str = "CARACAL_GUARD_RELOAD_TOKEN_FILE";
const SHOW_DETAILS: &str = "CARACAL_GUARD_INSECURE_SHOW_DETAILS";

/// The shortest token for reloads: a shorter one may be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The settings of the operations listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OperationsConfig {
    /// The file with the bearer token of `/metrics` and of details.
    pub(crate) bearer_file: Option<PathBuf>,
    pub(crate) reload_token: Option<Secret>,
    pub(crate) insecure_show_details: bool,
}

/// A text that no log may show. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Returns the text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl OperationsConfig {
    pub(super) fn resolve(
        environment: impl Fn(&str) -> Option<String>,
        filed: &file::Operations,
    ) -> Result<Self, ConfigError> {
        let show_details = environment(SHOW_DETAILS).map(|text| parse_bool(SHOW_DETAILS, &text));
        Ok(Self {
            bearer_file: filed.bearer_file.clone(),
            reload_token: reload_token(environment, filed)?,
            insecure_show_details: show_details
                .transpose()?
                .or(filed.insecure_show_details)
                .unwrap_or(false),
        })
    }
}

/// Returns the token from the first source that has one: the file that the environment names, the
/// environment itself, the file that the configuration names.
fn reload_token(
    environment: impl Fn(&str) -> Option<String>,
    filed: &file::Operations,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(path) = environment(RELOAD_TOKEN_FILE) {
        return read(RELOAD_TOKEN_FILE, &PathBuf::from(path)).map(Some);
    }
    if let Some(text) = environment(RELOAD_TOKEN) {
        return token(RELOAD_TOKEN, &text).map(Some);
    }
    let path = filed.reload_token_file.as_deref();
    path.map(|path| read("operations.reload_token_file", path)).transpose()
}

fn read(setting: &str, path: &std::path::Path) -> Result<Secret, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::new(setting, format!("{}: {error}", path.display())))?;
    token(setting, &text)
}

/// Checks that a request can present this token. The error does not show it.
fn token(setting: &str, text: &str) -> Result<Secret, ConfigError> {
    let text = text.trim();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if text.len() < SHORTEST_TOKEN {
        let problem = format!("shorter than {SHORTEST_TOKEN} characters: it may be guessed");
        return Err(ConfigError::new(setting, problem));
    }
    if !text.bytes().all(is_allowed) {
        let problem = "only letters, digits and - . _ ~ + / = can be in a bearer token";
        return Err(ConfigError::new(setting, problem));
    }
    Ok(Secret(text.to_owned()))
}
