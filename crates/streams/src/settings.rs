//! Finds the settings of the program: in flags, then the environment, then a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use caracal_revocation_stream::Settings;

use crate::cli::Connect;
use crate::outcome::Failure;
use crate::url::{holds_password, without_password};

/// The settings of the server's address. The first source that has any of them provides all.
const ADDRESS: [&str; 8] = [
    "REDIS_URL",
    "REDIS_URL_FILE",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_MASTER",
    "REDIS_CLUSTER_NODES",
    "REDIS_TLS",
];
/// The settings of the server's password. The first source that has any of them provides all.
const PASSWORD: [&str; 2] = ["REDIS_PASSWORD_FILE", "REDIS_PASSWORD"];

/// The logins at sentinels. They come from the source of the address, or from an earlier one.
const SENTINEL_LOGIN: [&str; 4] = [
    "REDIS_SENTINEL_USER",
    "REDIS_SENTINEL_USER_FILE",
    "REDIS_SENTINEL_PASSWORD",
    "REDIS_SENTINEL_PASSWORD_FILE",
];

/// The prefixes of this program's settings.
const OURS: [&str; 5] = ["REDIS_", "STREAMS_", "CARACAL_", "REVOCATION_", "DATABASE_"];

/// The sources of settings, in order: an earlier source wins over a later one.
#[derive(Clone, Debug)]
pub(crate) struct Sources(Vec<Source>);

/// Settings by name. `Debug` hides the values, because they may be secrets.
#[derive(Clone)]
struct Source(HashMap<String, String>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Sources {
    /// Collects the sources: the flags, this process' environment, and the file.
    pub(crate) fn of(flags: &Connect) -> Result<Self, Failure> {
        if flags.url.as_deref().is_some_and(holds_password) {
            return Err(Failure::new(
                "--url: every user of this machine can read a password on a command line; remove \
                 it and pass --password-file, or set REDIS_URL",
            ));
        }
        Self::from(flags.named(), environment()?, flags.settings.as_deref())
    }

    fn from(
        flags: HashMap<String, String>,
        environment: HashMap<String, String>,
        file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let conventional = home(&environment).map(|home| home.join("streams.env"));
        let file = match (file, conventional) {
            (Some(named), _) => read(named)?,
            (None, Some(path)) if path.is_file() => read(&path)?,
            (None, _) => HashMap::new(),
        };
        let password = password_file(&environment)
            .filter(|path| path.is_file())
            .map(|path| ("REDIS_PASSWORD_FILE".to_owned(), path.to_string_lossy().into_owned()));
        let mut sources = vec![Source(flags), Source(environment), Source(file)];
        sources.iter_mut().for_each(|Source(map)| map.retain(|_, value| !value.trim().is_empty()));
        let mut sources = Self(sources);
        // The last source is the password file of Caracal's installer, for servers named by host.
        // A URL needs none: it holds its own password, or the server has none.
        if ["REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER_NODES"]
            .iter()
            .any(|name| sources.find(name).is_some())
        {
            sources.0.push(Source(password.into_iter().collect()));
        }
        Ok(sources)
    }

    /// Returns the value of a setting from the first source that provides it.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let is_url = ["REDIS_URL", "REDIS_URL_FILE"].contains(&name);
        // A password from an earlier source than the URL wins over the password in the URL.
        match self.place_of(&PASSWORD) {
            Some(place) if is_url && self.place_of(&ADDRESS).is_some_and(|url| place < url) => {
                self.url_without_password(name)
            }
            _ => self.value(name),
        }
    }

    /// Returns `REDIS_URL` without its password. Keeps the name of an unreadable file, so that the
    /// error names it.
    fn url_without_password(&self, name: &str) -> Option<String> {
        let Some(path) = self.value("REDIS_URL_FILE") else {
            return self.value(name).map(|url| without_password(&url));
        };
        match std::fs::read_to_string(&path) {
            Ok(url) => (name == "REDIS_URL").then(|| without_password(url.trim())),
            Err(_) => self.value(name),
        }
    }

    /// Returns the index of the first source that has any of these settings.
    fn place_of(&self, group: &[&str]) -> Option<usize> {
        self.0.iter().position(|Source(map)| group.iter().any(|name| map.contains_key(*name)))
    }

    fn value(&self, name: &str) -> Option<String> {
        let group = [ADDRESS.as_slice(), &PASSWORD].into_iter().find(|group| group.contains(&name));
        let group = group.unwrap_or(std::slice::from_ref(&name));
        // A value and its `_FILE` are one setting.
        let other = name.strip_suffix("_FILE").map_or(format!("{name}_FILE"), str::to_owned);
        let has = |Source(map): &&Source| {
            map.contains_key(&other) || group.iter().any(|name| map.contains_key(*name))
        };
        let places = match self.place_of(&ADDRESS) {
            Some(place) if SENTINEL_LOGIN.contains(&name) => place + 1,
            _ => self.0.len(),
        };
        self.0.iter().take(places).find(has).and_then(|Source(map)| map.get(name)).cloned()
    }

    /// Returns the settings of the server and the keys.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::from_lookup(|name| self.find(name))?)
    }

    /// Returns the settings, ignoring this one.
    pub(crate) fn without(&self, setting: &str) -> Result<Settings, Failure> {
        Ok(Settings::from_lookup(|name| (name != setting).then(|| self.find(name)).flatten())?)
    }

    /// Returns the settings of the server only, for commands that need no key.
    pub(crate) fn server(&self) -> Result<Settings, Failure> {
        let lookup = |name: &str| match name {
            "CARACAL_MODE" => Some("dev".to_owned()),
            _ if name.starts_with("STREAMS_HMAC_KEY") => None,
            _ => self.find(name),
        };
        Ok(Settings::from_lookup(lookup)?)
    }

    /// Returns the settings of the keys only, for commands that need no server.
    pub(crate) fn keys(&self) -> Result<Settings, Failure> {
        let lookup = |name: &str| match name {
            "REDIS_URL" => Some("redis://localhost".to_owned()),
            _ if name.starts_with("REDIS_") => None,
            _ => self.find(name),
        };
        Ok(Settings::from_lookup(lookup)?)
    }
}

/// Returns the variables of this process' environment that are UTF-8.
///
/// Fails if a setting of this program is not UTF-8. The error names the setting and never shows its
/// value.
fn environment() -> Result<HashMap<String, String>, Failure> {
    let mut text = HashMap::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                text.insert(name, value);
            }
            Err(_) if OURS.iter().any(|ours| name.starts_with(ours)) => {
                return Err(Failure::new(format!("{name}: not UTF-8")));
            }
            Err(_) => {}
        }
    }
    Ok(text)
}

/// Returns `${CARACAL_HOME:-$HOME/.local/share/caracal}`.
fn home(environment: &HashMap<String, String>) -> Option<PathBuf> {
    let set = |name| environment.get(name).filter(|value| !value.trim().is_empty());
    let under_home = || set("HOME").map(|home| Path::new(home).join(".local/share/caracal"));
    set("CARACAL_HOME").map(PathBuf::from).or_else(under_home)
}

/// Returns `${CARACAL_SECRETS_DIR:-<home>/secrets}/redisPassword`.
fn password_file(environment: &HashMap<String, String>) -> Option<PathBuf> {
    let set = environment.get("CARACAL_SECRETS_DIR").filter(|value| !value.trim().is_empty());
    let folder = set.map(PathBuf::from).or_else(|| Some(home(environment)?.join("secrets")));
    Some(folder?.join("redisPassword"))
}

/// Reads lines of `NAME=value`, as in an environment file. Accepts `#` comments and quoted values.
fn read(path: &Path) -> Result<HashMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("--settings {}: {error}", path.display())))?;
    let mut settings = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The error does not show the line: it may contain a secret.
        let (name, value) = line.split_once('=').ok_or_else(|| {
            let at = format!("--settings {}, line {}", path.display(), number + 1);
            Failure::new(format!("{at}: expected NAME=value"))
        })?;
        let value = value.trim();
        let unquoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(value);
        settings.insert(name.trim().trim_start_matches("export ").to_owned(), unquoted.to_owned());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[(&str, &str)]) -> HashMap<String, String> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn flag_wins_over_environment_as_a_group() {
        let environment =
            [("REDIS_URL", "redis://elsewhere"), ("REDIS_PASSWORD", "x"), ("CARACAL_MODE", "rc")];
        let flags = [("REDIS_HOST", "here"), ("REDIS_PASSWORD_FILE", "/p")];
        let sources = Sources::from(map(&flags), map(&environment), None).unwrap();
        assert_eq!(sources.find("REDIS_URL"), None);
        assert_eq!(sources.find("REDIS_HOST").as_deref(), Some("here"));
        assert_eq!(sources.find("REDIS_PASSWORD"), None);
        assert_eq!(sources.find("CARACAL_MODE").as_deref(), Some("rc"));
    }

    #[test]
    fn file_ranks_between_environment_and_installed_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("streams.env");
        std::fs::write(&file, "# ours\nREDIS_HOST = \"filed\"\nexport REDIS_PASSWORD='p w'\n")
            .unwrap();
        std::fs::write(folder.path().join("redisPassword"), "conventional").unwrap();
        let home = folder.path().to_str().unwrap();
        let environment =
            map(&[("CARACAL_HOME", home), ("CARACAL_SECRETS_DIR", home), ("REDIS_HOST", "")]);
        let sources = Sources::from(map(&[]), environment.clone(), None).unwrap();
        assert_eq!(sources.find("REDIS_HOST").as_deref(), Some("filed"));
        assert_eq!(sources.find("REDIS_PASSWORD").as_deref(), Some("p w"));
        assert_eq!(sources.find("REDIS_PASSWORD_FILE"), None);
        std::fs::write(&file, "REDIS_HOST=filed").unwrap();
        let sources = Sources::from(map(&[]), environment.clone(), None).unwrap();
        assert!(sources.find("REDIS_PASSWORD_FILE").unwrap().ends_with("redisPassword"));
        // A URL does not use the installed password file.
        std::fs::write(&file, "REDIS_URL=redis://filed").unwrap();
        let sources = Sources::from(map(&[]), environment, None).unwrap();
        assert_eq!(sources.find("REDIS_PASSWORD_FILE"), None);
    }

    #[test]
    fn names_invalid_line_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken.env");
        std::fs::write(&file, "REDIS_HOST=a\nhunter2\n").unwrap();
        let failure = Sources::from(map(&[]), map(&[]), Some(&file)).unwrap_err().to_string();
        assert!(failure.contains("line 2") && !failure.contains("hunter2"), "{failure}");
    }

    #[test]
    fn flag_wins_over_sentinel_logins_of_the_environment() {
        let environment = map(&[
            ("REDIS_SENTINELS", "s:26379"),
            ("REDIS_SENTINEL_MASTER", "main"),
            ("REDIS_SENTINEL_PASSWORD", "x"),
        ]);
        let sources =
            Sources::from(map(&[("REDIS_HOST", "h")]), environment.clone(), None).unwrap();
        assert_eq!(sources.find("REDIS_SENTINEL_PASSWORD"), None);
        assert!(sources.server().is_ok());
        let sources = Sources::from(map(&[]), environment, None).unwrap();
        assert_eq!(sources.find("REDIS_SENTINEL_PASSWORD").as_deref(), Some("x"));
        // The secrets are in the environment, the addresses in a file.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("streams.env");
        std::fs::write(&file, "REDIS_SENTINELS=s\nREDIS_SENTINEL_MASTER=main\n").unwrap();
        let secret = map(&[("REDIS_SENTINEL_PASSWORD", "x")]);
        let sources = Sources::from(map(&[]), secret, Some(&file)).unwrap();
        assert_eq!(sources.find("REDIS_SENTINEL_PASSWORD").as_deref(), Some("x"));
        assert_eq!(sources.find("REDIS_SENTINELS").as_deref(), Some("s"));
    }

    #[test]
    fn password_file_wins_over_password_in_url() {
        let flags = map(&[("REDIS_PASSWORD_FILE", "/p")]);
        let url = "redis://u:old@h:1/2";
        let find = |flags: &HashMap<_, _>, name, value: &str| {
            let sources = Sources::from(flags.clone(), map(&[(name, value)]), None).unwrap();
            (sources.find("REDIS_URL"), sources.find("REDIS_URL_FILE"))
        };
        let stripped = Some("redis://u@h:1/2".to_owned());
        assert_eq!(find(&flags, "REDIS_URL", url), (stripped.clone(), None));
        assert_eq!(find(&map(&[]), "REDIS_URL", url), (Some(url.to_owned()), None));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, format!("{url}\n")).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(find(&flags, "REDIS_URL_FILE", file), (stripped, None));
        assert_eq!(find(&flags, "REDIS_URL_FILE", "/none").1.as_deref(), Some("/none"));
    }
}
