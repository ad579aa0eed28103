use std::collections::HashMap;

use std::time::Duration;

use super::*;

const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

fn settings(values: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let values: HashMap<&str, &str> = values.iter().copied().collect();
    Settings::from_lookup(|name| values.get(name).map(|value| (*value).to_owned()))
}

fn server(settings: &Settings) -> &redis::ConnectionInfo {
    match &settings.topology {
        Topology::One(server) => server,
        other => panic!("one server was expected: {other:?}"),
    }
}

fn fault(values: &[(&str, &str)]) -> &'static str {
    settings(values).unwrap_err().setting()
}

#[test]
fn names_missing_or_invalid_setting() {
    let url = ("REDIS_URL", "redis://localhost");
    let key = ("STREAMS_HMAC_KEY", KEY);
    assert_eq!(fault(&[key]), "REDIS_URL");
    assert_eq!(fault(&[key, ("REDIS_URL", "")]), "REDIS_URL");
    assert_eq!(fault(&[key, ("REDIS_URL", "http://localhost")]), "REDIS_URL");
    assert_eq!(fault(&[key, ("REDIS_HOST", "h"), ("REDIS_PORT", "http")]), "REDIS_PORT");
    assert_eq!(fault(&[url, ("STREAMS_HMAC_KEY", "abc")]), "STREAMS_HMAC_KEY");
    assert_eq!(fault(&[url, ("STREAMS_HMAC_KEY", "abcd")]), "STREAMS_HMAC_KEY");
    assert_eq!(fault(&[url, key, ("STREAMS_HMAC_KEY_PREVIOUS", "x")]), "STREAMS_HMAC_KEY_PREVIOUS");
    assert_eq!(fault(&[url, key, ("CARACAL_MODE", "prod")]), "CARACAL_MODE");
    assert_eq!(fault(&[url, ("STREAMS_HMAC_KEY_FILE", "/nowhere/key")]), "STREAMS_HMAC_KEY_FILE");
}

#[test]
fn published_mode_requires_key() {
    for mode in [None, Some("rc"), Some("stable")] {
        let mut values = vec![("REDIS_URL", "redis://localhost")];
        values.extend(mode.map(|mode| ("CARACAL_MODE", mode)));
        assert_eq!(fault(&values), "STREAMS_HMAC_KEY", "{mode:?}");
        // The previous key signs nothing, so it does not replace the current one.
        values.push(("STREAMS_HMAC_KEY_PREVIOUS", KEY));
        assert_eq!(fault(&values), "STREAMS_HMAC_KEY", "{mode:?}");
    }
    let dev = settings(&[("REDIS_URL", "redis://localhost"), ("CARACAL_MODE", "dev")]).unwrap();
    assert!(!dev.keys().verifies());
}

#[test]
fn development_mode_uses_key_that_is_set() {
    let values =
        [("REDIS_URL", "redis://localhost"), ("CARACAL_MODE", "dev"), ("STREAMS_HMAC_KEY", KEY)];
    assert!(settings(&values).unwrap().keys().verifies());
}

#[test]
fn password_setting_completes_address_without_one() {
    let password = |url| {
        let key = ("STREAMS_HMAC_KEY", KEY);
        let settings = settings(&[("REDIS_URL", url), ("REDIS_PASSWORD", "own\n"), key]).unwrap();
        server(&settings).redis_settings().password().map(str::to_owned)
    };
    assert_eq!(password("redis://user@localhost").as_deref(), Some("own"));
    assert_eq!(password("redis://user:in-url@localhost").as_deref(), Some("in-url"));
}

#[test]
fn parses_every_kind_of_address() {
    for (url, address) in [
        ("redis://localhost", "localhost:6379"),
        ("redis://user:secret@redis.internal:7000/2", "redis.internal:7000"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ("redis+unix:///run/redis.sock?pass=secret", "/run/redis.sock"),
    ] {
        let settings = settings(&[("REDIS_URL", url), ("STREAMS_HMAC_KEY", KEY)]).unwrap();
        assert_eq!(server(&settings).addr().to_string(), address);
    }
    let tls = settings(&[("REDIS_URL", "rediss://localhost"), ("STREAMS_HMAC_KEY", KEY)]);
    assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
    let parts = [
        ("REDIS_HOST", "redis.internal"),
        ("REDIS_PORT", "7000"),
        ("REDIS_PASSWORD", "secret"),
        ("STREAMS_HMAC_KEY", KEY),
    ];
    let settings = settings(&parts).unwrap();
    assert_eq!(server(&settings).addr().to_string(), "redis.internal:7000");
    assert_eq!(server(&settings).redis_settings().password(), Some("secret"));
}

#[test]
fn sentinels_need_all_settings_and_replace_address() {
    let key = ("STREAMS_HMAC_KEY", KEY);
    let list = ("REDIS_SENTINELS", "s1, s2:7000,[::1]:7001");
    let master = ("REDIS_SENTINEL_MASTER", "caracal");
    let good = [key, list, master, ("REDIS_SENTINEL_PASSWORD", "hunter2"), ("REDIS_USER", "u")];
    let shown = settings(&good).unwrap().topology.to_string();
    assert_eq!(shown, "\"caracal\" at s1:26379 s2:7000 ::1:7001");
    assert_eq!(fault(&[key, list]), "REDIS_SENTINEL_MASTER");
    assert_eq!(fault(&[key, master]), "REDIS_SENTINELS");
    assert_eq!(fault(&[key, ("REDIS_SENTINEL_PASSWORD_FILE", "/p")]), "REDIS_SENTINELS");
    for other in ["REDIS_URL", "REDIS_URL_FILE", "REDIS_HOST", "REDIS_PRIMARY_URL"] {
        assert_eq!(fault(&[key, list, master, (other, "redis://elsewhere")]), other);
    }
    for wrong in [",", "s1:port", "redis://s1", "u:p@s1", "s1,s1:26379", "[::1"] {
        assert_eq!(fault(&[key, ("REDIS_SENTINELS", wrong), master]), "REDIS_SENTINELS", "{wrong}");
    }
    let url = ("REDIS_URL", "redis://localhost");
    assert_eq!(fault(&[key, url, ("REDIS_TLS", "true")]), "REDIS_TLS");
    let tls = settings(&[key, list, master, ("REDIS_TLS", "true")]);
    assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
    assert_eq!(fault(&[key, list, master, ("REDIS_TLS", "yes")]), "REDIS_TLS");
}

#[test]
fn cluster_nodes_replace_address() {
    let key = ("STREAMS_HMAC_KEY", KEY);
    let nodes = ("REDIS_CLUSTER_NODES", "n1,n2:7000");
    let shown = settings(&[key, nodes, ("REDIS_PASSWORD", "hunter2")]).unwrap();
    assert_eq!(shown.topology.to_string(), "a cluster at n1:6379 n2:7000");
    assert!(!format!("{shown:?}").contains("hunter2"));
    for other in ["REDIS_URL", "REDIS_HOST", "REDIS_PRIMARY_URL", "REDIS_SENTINELS"] {
        assert_eq!(fault(&[key, nodes, (other, "elsewhere")]), other);
    }
    assert_eq!(fault(&[key, ("REDIS_CLUSTER_NODES", "n1:x")]), "REDIS_CLUSTER_NODES");
}

#[test]
fn secret_file_takes_precedence_over_value() {
    let folder = std::env::temp_dir().join(format!("caracal-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (password, key) = (file("redisPassword", "from-file\n"), file("key", &format!("{KEY}\n")));
    let settings = settings(&[
        ("REDIS_HOST", "localhost"),
        ("REDIS_PASSWORD", "from-value"),
        ("REDIS_PASSWORD_FILE", &password),
        ("STREAMS_HMAC_KEY", "not a key"),
        ("STREAMS_HMAC_KEY_FILE", &key),
    ])
    .unwrap();
    assert_eq!(server(&settings).redis_settings().password(), Some("from-file"));
    assert!(settings.keys().verifies());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_secret_is_shown() {
    let url = "redis://user:hunter2@localhost";
    let settings = settings(&[("REDIS_URL", url), ("STREAMS_HMAC_KEY", KEY)]).unwrap();
    let follower = crate::Follower::new(settings.clone());
    let broken = ("REDIS_URL", "redis://user:hunter2@localhost:notaport");
    let error = self::settings(&[broken, ("STREAMS_HMAC_KEY", KEY)]).unwrap_err();
    let sentinels = self::settings(&[
        ("REDIS_SENTINELS", "s1"),
        ("REDIS_SENTINEL_MASTER", "m"),
        ("REDIS_SENTINEL_PASSWORD", "hunter2"),
        ("REDIS_PASSWORD", "hunter2"),
        ("STREAMS_HMAC_KEY", KEY),
    ]);
    let watched = crate::Follower::new(sentinels.unwrap());
    let error = format!("{error:?} {error}");
    for shown in [format!("{settings:?}"), format!("{follower:?}"), format!("{watched:?}"), error] {
        assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
    }
}

#[test]
fn reads_and_checks_bounds_and_strict_mode() {
    let with = |values: &[(&str, &str)]| {
        let address = [("REDIS_URL", "redis://localhost"), ("STREAMS_HMAC_KEY", KEY)];
        settings(&[&address, values].concat())
    };
    let millis = Duration::from_millis;
    let options = |values: &[(&str, &str)]| *with(values).unwrap().options();
    assert_eq!(options(&[]), Options::default());
    assert_eq!(options(&[("REVOCATION_STRICT", "true")]), Options::strict());
    let short = options(&[("REVOCATION_DENY_AFTER_MS", "2000")]);
    assert_eq!((short.deny_after, short.warn_after), (millis(2_000), millis(2_000)));
    let both = [("REVOCATION_DENY_AFTER_MS", "70000"), ("REVOCATION_WARN_AFTER_MS", "900")];
    assert_eq!(options(&both).warn_after, millis(900));
    for wrong in [
        ("REVOCATION_DENY_AFTER_MS", "399"),
        ("REVOCATION_DENY_AFTER_MS", "5s"),
        ("REVOCATION_WARN_AFTER_MS", "0"),
        ("REVOCATION_STRICT", "yes"),
    ] {
        assert_eq!(with(&[wrong]).unwrap_err().setting(), wrong.0, "{wrong:?}");
    }
    let contradiction = [("REVOCATION_STRICT", "true"), ("REVOCATION_INSECURE_UNPROVEN", "true")];
    let error = with(&contradiction).unwrap_err();
    assert_eq!(error.setting(), "REVOCATION_INSECURE_UNPROVEN");
    assert!(with(&[("REVOCATION_INSECURE_UNPROVEN", "true")]).is_ok());
}

#[test]
fn reads_interval_of_reads_up_to_its_limit() {
    let interval = |value: &str| {
        let address = [("REDIS_URL", "redis://localhost"), ("STREAMS_HMAC_KEY", KEY)];
        settings(&[&address[..], &[("REVOCATION_READ_INTERVAL_MS", value)]].concat())
    };
    for (value, expected) in [("", 0), ("0", 0), ("2", 2), ("100", 100)] {
        let expected = Duration::from_millis(expected);
        assert_eq!(interval(value).unwrap().read_interval, expected, "{value}");
    }
    for wrong in ["101", "-1", "2ms"] {
        let error = interval(wrong).unwrap_err();
        assert_eq!(error.setting(), "REVOCATION_READ_INTERVAL_MS", "{wrong}");
    }
}

#[cfg(unix)]
#[test]
fn names_a_variable_that_is_not_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    // Runs this test again as a child process, with its own environment.
    const CHILD: &str = "CARACAL_TEST_OF_SETTINGS";
    if std::env::var_os(CHILD).is_some() {
        println!("error: {}", Settings::from_env().unwrap_err());
        return;
    }
    for name in ["REDIS_PASSWORD", "REVOCATION_STRICT", "STREAMS_HMAC_KEY_PREVIOUS"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["settings::tests::names_a_variable_that_is_not_text", "--exact", "--nocapture"])
            .env(CHILD, "1")
            .env("REDIS_URL", "redis://localhost")
            .env("STREAMS_HMAC_KEY", KEY)
            .env(name, OsStr::from_bytes(b"hunter2\xff"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("error: {name}: not text")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
