//! The settings that keep Redis from losing messages (contract, "Failures").

use redis::{Pipeline, Value};

use crate::redis_reply::text;

/// A setting of Redis that can lose messages, and its live value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveSetting {
    /// The name in Redis' configuration.
    pub name: &'static str,
    /// The live value, if it is known. `CONFIG GET` may not be allowed, and `INFO` reports only two
    /// of the settings.
    pub live: Option<String>,
    /// The required value.
    pub required: &'static str,
    /// `true` if messages are safe with the live value, or if that is unknown.
    pub is_fine: bool,
}

/// A setting of Redis that can lose messages, and its required value.
struct Required {
    setting: &'static str,
    is_fine: fn(&str) -> bool,
    value: &'static str,
}

const REQUIRED: [Required; 3] = [
    Required {
        setting: "maxmemory-policy",
        is_fine: |live| live == "noeviction",
        value: "noeviction",
    },
    Required { setting: "appendonly", is_fine: |live| live == "yes", value: "yes" },
    Required { setting: "appendfsync", is_fine: |live| live != "no", value: "everysec" },
];

/// Adds the commands that ask for the live values.
pub fn add_queries(commands: &mut Pipeline) {
    for Required { setting, .. } in REQUIRED {
        commands.cmd("CONFIG").arg("GET").arg(setting);
    }
}

/// Returns the live values: from `CONFIG GET` where that is allowed, otherwise from `otherwise`.
pub fn live(
    answers: impl Iterator<Item = Value>,
    otherwise: impl Fn(&str) -> Option<String>,
) -> Vec<LiveSetting> {
    let reported = |answer: Value| match &answer {
        Value::Array(pair) => pair.get(1).and_then(|live| text(live).ok()),
        _ => None,
    };
    let settings = REQUIRED.into_iter().zip(answers).map(|(required, answer)| {
        let Required { setting, is_fine, value } = required;
        let live = reported(answer).or_else(|| otherwise(setting));
        let is_fine = live.as_deref().is_none_or(is_fine);
        LiveSetting { name: setting, live, required: value, is_fine }
    });
    settings.collect()
}

/// Warns once of each value that differs. Does nothing where `CONFIG GET` is not allowed.
pub(crate) fn warn(answers: impl Iterator<Item = Value>, warned: &mut Vec<String>) {
    let mut differing = Vec::new();
    for LiveSetting { name: setting, live, required, is_fine } in live(answers, |_| None) {
        let Some(live) = live else {
            tracing::debug!(setting, "CONFIG GET is not allowed: this setting is not checked");
            continue;
        };
        if !is_fine {
            let warning = format!("{setting}={live}");
            if !warned.contains(&warning) {
                tracing::warn!(
                    setting,
                    live,
                    required,
                    "Redis can lose revocations with this setting: set {setting} to {required}"
                );
            }
            differing.push(warning);
        }
    }
    *warned = differing;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(values: [&str; 3]) -> impl Iterator<Item = Value> {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        REQUIRED
            .map(|required| required.setting)
            .into_iter()
            .zip(values)
            .map(|(setting, value)| Value::Array(vec![bulk(setting), bulk(value)]))
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn names_each_setting_that_can_lose_messages() {
        let mut warned = Vec::new();
        warn(live(["allkeys-lru", "no", "no"]), &mut warned);
        assert_eq!(warned, ["maxmemory-policy=allkeys-lru", "appendonly=no", "appendfsync=no"]);
        for fsync in ["everysec", "always"] {
            warn(live(["noeviction", "yes", fsync]), &mut warned);
            assert!(warned.is_empty(), "{warned:?}");
        }
    }

    #[test]
    fn does_not_warn_without_right_to_config_get() {
        let mut warned = Vec::new();
        warn([Value::Nil, Value::Nil, Value::Nil].into_iter(), &mut warned);
        assert!(warned.is_empty());
    }
}
