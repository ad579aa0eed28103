//! The source of each setting, and the error of each wrong one.

use clap::Parser;

use super::{Config, ConfigError, File, SingleUse, Tokens};
use crate::cli::Cli;
use crate::routes::Profile;

/// A valid configuration: each setting of it can be replaced.
const BASE: [(&str, &str); 7] = [
    ("REDIS_URL", "redis://127.0.0.1"),
    ("CARACAL_MODE", "dev"),
    ("CARACAL_ISSUER", "https://sts.example"),
    ("CARACAL_AUDIENCE", "https://api.example"),
    ("CARACAL_ZONE", "zone-1"),
    ("CARACAL_GUARD_LISTEN", "127.0.0.1:8080"),
    ("CARACAL_GUARD_UPSTREAM", "http://127.0.0.1:8000"),
];

/// A text that no error may show.
const SECRET: &str = "s3cret";

/// Resolves these flags, the base with these replacements, and this file. An empty replacement
/// removes a setting.
fn resolve(flags: &[&str], more: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let flags = Cli::try_parse_from([&["caracal-guard"], flags].concat()).unwrap().flags;
    let environment = |name: &str| {
        let mut all = more.iter().chain(&BASE);
        all.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let file = File::parse(file).map_err(|error| ConfigError::new("--config", error))?;
    Config::resolve(&flags, environment, &file)
}

/// A setting: its flag (or none), its variable, its key in the file, three values, and the way to
/// read it.
type Setting = (&'static str, &'static str, &'static str, [&'static str; 3], fn(&Config) -> String);

fn verified(config: &Config) -> &super::resolve::VerifierConfig {
    match &config.tokens {
        Tokens::Verified(tokens) => tokens,
        Tokens::InsecureUnverified => panic!("unverified"),
    }
}

/// Variables, a file, the setting that the error names, and a part of its text.
type Case<'a> = (&'a [(&'a str, &'a str)], String, &'a str, &'a str);

const ADDRESSES: [&str; 3] = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];

const SETTINGS: [Setting; 10] = [
    ("--listen", "CARACAL_GUARD_LISTEN", "listen.proxy", ADDRESSES, |config| {
        config.listeners.proxy.unwrap().to_string()
    }),
    ("--check", "CARACAL_GUARD_CHECK", "listen.check", ADDRESSES, |config| {
        config.listeners.check.unwrap().to_string()
    }),
    ("--ext-authz", "CARACAL_GUARD_EXT_AUTHZ", "listen.ext_authz", ADDRESSES, |config| {
        config.listeners.ext_authz.unwrap().to_string()
    }),
    ("--spoe", "CARACAL_GUARD_SPOE", "listen.spoe", ADDRESSES, |config| {
        config.listeners.spoe.unwrap().to_string()
    }),
    ("--operations", "CARACAL_GUARD_OPERATIONS", "listen.operations", ADDRESSES, |config| {
        config.listeners.operations.unwrap().to_string()
    }),
    (
        "--upstream",
        "CARACAL_GUARD_UPSTREAM",
        "proxy.upstream",
        ["http://a/", "http://b/", "https://c/"],
        |config| config.proxy.as_ref().unwrap().upstream.to_string(),
    ),
    ("--issuer", "CARACAL_ISSUER", "tokens.issuer", ["https://a", "https://b", "https://c"], |c| {
        verified(c).issuer.clone()
    }),
    ("--zone", "CARACAL_ZONE", "tokens.zone", ["z-1", "z-2", "z-3"], |config| {
        verified(config).zone.clone()
    }),
    (
        "--jwks-url",
        "CARACAL_JWKS_URL",
        "tokens.jwks_url",
        ["https://a", "https://b", "https://c"],
        |c| verified(c).jwks_url.clone().unwrap(),
    ),
    ("", "REDIS_URL", "settings.REDIS_URL", ["", "redis://b:1", "redis://c:2"], |config| {
        format!("redis://{}", config.follower.address())
    }),
];

#[test]
fn flag_overrides_environment_and_environment_overrides_file() {
    for (flag, variable, key, [a, b, c], read) in SETTINGS {
        let file = format!("{key} = '{c}'");
        assert_eq!(read(&resolve(&[], &[(variable, "")], &file).unwrap()), c, "{key}");
        // A blank variable counts as not set.
        assert_eq!(read(&resolve(&[], &[(variable, " ")], &file).unwrap()), c, "{key}");
        assert_eq!(read(&resolve(&[], &[(variable, b)], &file).unwrap()), b, "{variable}");
        if !flag.is_empty() {
            assert_eq!(read(&resolve(&[flag, a], &[(variable, b)], &file).unwrap()), a, "{flag}");
        }
    }
}

#[test]
fn list_of_audiences_comes_from_one_source() {
    let file = "tokens.audience = ['c', 'd']";
    let read = |flags: &[&str], value| {
        verified(&resolve(flags, &[("CARACAL_AUDIENCE", value)], file).unwrap()).audience.clone()
    };
    assert_eq!(read(&[], ""), ["c", "d"]);
    assert_eq!(read(&[], " a , b,"), ["a", "b"]);
    assert_eq!(read(&["--audience", "x", "--audience", "y"], "a"), ["x", "y"]);
}

#[test]
fn switch_has_the_same_order() {
    let gateway = "tokens.profile = 'gateway'\n";
    let once = "tokens.single_use = true\n";
    let open = "CARACAL_GUARD_INSECURE_SINGLE_USE_FAIL_OPEN";
    for (flag, variable, key, before, is_set) in [
        (
            "--insecure-unverified-claims",
            "CARACAL_GUARD_INSECURE_UNVERIFIED_CLAIMS",
            "tokens.insecure_unverified_claims",
            String::new(),
            (|config| config.tokens == Tokens::InsecureUnverified) as fn(&Config) -> bool,
        ),
        (
            "--insecure-http-keys",
            "CARACAL_GUARD_INSECURE_HTTP_KEYS",
            "tokens.insecure_http_keys",
            String::new(),
            |config| verified(config).insecure_http_keys,
        ),
        (
            "--single-use",
            "CARACAL_GUARD_SINGLE_USE",
            "tokens.single_use",
            gateway.to_owned(),
            |config| config.single_use == SingleUse::On,
        ),
        (
            "",
            "CARACAL_GUARD_INSECURE_SHOW_DETAILS",
            "operations.insecure_show_details",
            String::new(),
            |config| config.operations.insecure_show_details,
        ),
        ("", open, "tokens.insecure_single_use_fail_open", format!("{gateway}{once}"), |config| {
            config.single_use == SingleUse::InsecureFailOpen
        }),
    ] {
        let file = format!("{before}{key} = true");
        let off = resolve(&[], &[], &before).unwrap();
        assert!(!is_set(&off), "{key}: off by default");
        assert!(is_set(&resolve(&[], &[], &file).unwrap()), "{key}");
        assert!(!is_set(&resolve(&[], &[(variable, "false")], &file).unwrap()), "{variable}");
        assert!(is_set(&resolve(&[], &[(variable, "true")], &before).unwrap()), "{variable}");
        if !flag.is_empty() {
            let on = resolve(&[flag], &[(variable, "false")], &before).unwrap();
            assert!(is_set(&on), "{flag}");
        }
    }
}

#[test]
fn profile_selects_the_default_use() {
    use caracal_revocation::mandate::Use;

    let config = resolve(&[], &[], "").unwrap();
    assert_eq!(
        (config.profile, &*verified(&config).uses),
        (Profile::Resource, &[Use::Resource][..])
    );
    let config = resolve(&[], &[], "tokens.profile = 'gateway'").unwrap();
    assert_eq!((config.profile, &*verified(&config).uses), (Profile::Gateway, &[Use::Gateway][..]));
}

#[test]
fn wrong_setting_is_named_and_no_secret_is_shown() {
    let route = |more: &str| format!("[[routes]]\npath = '/a'\n{more}");
    let unverified = "tokens.insecure_unverified_claims = true\n";
    let cases: Vec<Case<'_>> = vec![
        // Listeners and the upstream.
        (
            &[("CARACAL_GUARD_LISTEN", ""), ("CARACAL_GUARD_UPSTREAM", "")],
            String::new(),
            "CARACAL_GUARD_LISTEN",
            "no listener",
        ),
        (&[("CARACAL_GUARD_UPSTREAM", "")], String::new(), "CARACAL_GUARD_UPSTREAM", "missing"),
        (
            &[("CARACAL_GUARD_LISTEN", ""), ("CARACAL_GUARD_CHECK", "127.0.0.1:7000")],
            String::new(),
            "CARACAL_GUARD_LISTEN",
            "missing",
        ),
        (&[("CARACAL_GUARD_LISTEN", SECRET)], String::new(), "CARACAL_GUARD_LISTEN", "a port"),
        (&[("CARACAL_GUARD_CHECK", "7000")], String::new(), "CARACAL_GUARD_CHECK", "a port"),
        (&[("CARACAL_GUARD_EXT_AUTHZ", "a:1")], String::new(), "CARACAL_GUARD_EXT_AUTHZ", "a port"),
        (&[("CARACAL_GUARD_SPOE", ":1")], String::new(), "CARACAL_GUARD_SPOE", "a port"),
        (&[("CARACAL_GUARD_OPERATIONS", "x")], String::new(), "CARACAL_GUARD_OPERATIONS", "a port"),
        (&[("CARACAL_GUARD_UPSTREAM", "s3cret")], String::new(), "CARACAL_GUARD_UPSTREAM", "a URL"),
        (
            &[("CARACAL_GUARD_UPSTREAM", "http://user:s3cret@host")],
            String::new(),
            "CARACAL_GUARD_UPSTREAM",
            "a password",
        ),
        (
            &[("CARACAL_GUARD_UPSTREAM", "http://host/s3cret")],
            String::new(),
            "CARACAL_GUARD_UPSTREAM",
            "no path",
        ),
        // Tokens.
        (&[("CARACAL_ISSUER", "")], String::new(), "CARACAL_ISSUER", "missing"),
        (&[("CARACAL_AUDIENCE", " , ")], String::new(), "CARACAL_AUDIENCE", "missing"),
        (&[("CARACAL_ZONE", "")], String::new(), "CARACAL_ZONE", "missing"),
        (&[], "tokens.uses = []".into(), "tokens.uses", "empty"),
        (&[], "tokens.uses = ['any']".into(), "tokens.uses", "expected session"),
        (&[], "tokens.single_use = true".into(), "CARACAL_GUARD_SINGLE_USE", "profile"),
        (
            &[("CARACAL_GUARD_SINGLE_USE", "true")],
            format!("{unverified}tokens.profile = 'gateway'"),
            "CARACAL_GUARD_SINGLE_USE",
            "verified tokens",
        ),
        (
            &[],
            "tokens.insecure_single_use_fail_open = true".into(),
            "CARACAL_GUARD_INSECURE_SINGLE_USE_FAIL_OPEN",
            "needs single use",
        ),
        (
            &[("CARACAL_GUARD_SINGLE_USE", "s3cret")],
            String::new(),
            "CARACAL_GUARD_SINGLE_USE",
            "true or false",
        ),
        (
            &[("CARACAL_GUARD_INSECURE_HTTP_KEYS", "1")],
            String::new(),
            "CARACAL_GUARD_INSECURE_HTTP_KEYS",
            "true or false",
        ),
        // Routes.
        (&[], "[[routes]]\npath = 'a'".into(), "routes[0] (a): path and methods", "a slash"),
        (&[], route("methods = ['get']"), "routes[0] (/a): path and methods", "`get`"),
        (&[], route("uses = ['any']"), "routes[0] (/a): uses", "expected session"),
        (&[], route("subject_type = 'robot'"), "routes[0] (/a): subject_type", "user"),
        (&[], route("deny_after_ms = 10"), "routes[0] (/a): deny_after_ms", "below 400"),
        (
            &[],
            unverified.to_owned() + &route("session = true"),
            "routes[0] (/a): requirements",
            "not verified",
        ),
        (
            &[],
            unverified.to_owned() + &route("policy = true"),
            "routes[0] (/a): policy",
            "not verified",
        ),
        (
            &[],
            route("policy = true\nanonymous = true"),
            "routes[0] (/a): policy",
            "without a token",
        ),
        (&[], route("policy = true"), "CARACAL_GUARD_POLICY_FOLDER", "missing"),
        (&[], "limits.connections = 0".into(), "limits.connections", "above 0"),
        // The operations listener.
        (
            &[("CARACAL_GUARD_RELOAD_TOKEN", "s3cret")],
            String::new(),
            "CARACAL_GUARD_RELOAD_TOKEN",
            "shorter than 16",
        ),
        (
            &[("CARACAL_GUARD_RELOAD_TOKEN", "s3cret and a second word")],
            String::new(),
            "CARACAL_GUARD_RELOAD_TOKEN",
            "only letters, digits",
        ),
        (
            &[("CARACAL_GUARD_RELOAD_TOKEN_FILE", "/no/such/file")],
            String::new(),
            "CARACAL_GUARD_RELOAD_TOKEN_FILE",
            "/no/such/file: No such file",
        ),
        (
            &[],
            "operations.reload_token_file = '/no/such/file'".into(),
            "operations.reload_token_file",
            "/no/such/file: No such file",
        ),
        (
            &[("CARACAL_GUARD_INSECURE_SHOW_DETAILS", "1")],
            String::new(),
            "CARACAL_GUARD_INSECURE_SHOW_DETAILS",
            "true or false",
        ),
        // Settings of the library.
        (&[("REDIS_URL", "")], String::new(), "REDIS_URL", "not set"),
        (&[("REDIS_URL", "http://:s3cret@host")], String::new(), "REDIS_URL", "not an address"),
        (&[("STREAMS_HMAC_KEY", "s3cret")], String::new(), "STREAMS_HMAC_KEY", ""),
        (&[("CARACAL_MODE", "s3cret")], String::new(), "CARACAL_MODE", "expected"),
        (
            &[("REVOCATION_DENY_AFTER_MS", "s3cret")],
            String::new(),
            "REVOCATION_DENY_AFTER_MS",
            "milliseconds",
        ),
        // The text of the file.
        (&[], "\n[tokens]\nzoen = 's3cret'".into(), "--config", "line 3: unknown field `zoen`"),
        (&[], "[settings]\nREDIS_PASSWORD = 53637265".into(), "--config", "line 2: invalid type"),
        (&[], "tokens.profile = 's3cret'".into(), "--config", "expected `resource` or `gateway`"),
        (&[], "[settings]\nREDIS_PASSWORD = \"s3cret".into(), "--config", "line 2"),
    ];
    for (environment, file, setting, problem) in cases {
        let error = resolve(&[], environment, &file).unwrap_err().to_string();
        let text = error.strip_prefix(setting).and_then(|text| text.strip_prefix(": "));
        let text = text.unwrap_or_else(|| panic!("{setting} is not named: {error}"));
        assert!(text.contains(problem), "{problem}: {error}");
        assert!(!text.starts_with(setting), "named twice: {error}");
        assert!(!error.contains(SECRET) && !error.contains("53637265"), "{error}");
    }
}

#[cfg(feature = "opa")]
#[test]
fn policy_comes_from_environment_or_file_and_needs_a_route() {
    let file = "[policy]\nfolder = '/c'\nurl = 'http://c'\n[[routes]]\npath = '/a'\npolicy = true";
    let read = |more: &[(&str, &str)]| {
        let policy = resolve(&[], more, file).unwrap().policy.unwrap();
        (policy.folder.display().to_string(), policy.url.unwrap())
    };
    assert_eq!(read(&[]), ("/c".to_owned(), "http://c".to_owned()));
    let both = [("CARACAL_GUARD_POLICY_FOLDER", "/b"), ("CARACAL_GUARD_POLICY_URL", "http://b")];
    assert_eq!(read(&both), ("/b".to_owned(), "http://b".to_owned()));
    let error = resolve(&[], &[], "policy.folder = '/c'").unwrap_err().to_string();
    assert!(error.starts_with("policy: no route uses it"), "{error}");
    let error = resolve(&[], &[], "policy.url = 'http://c'").unwrap_err().to_string();
    assert!(error.starts_with("CARACAL_GUARD_POLICY_FOLDER: missing"), "{error}");
}

#[test]
fn reload_token_comes_from_one_source_without_white_space() {
    let folder = tempfile::TempDir::with_prefix("token-").unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (a, c) = (write("a", " token-in-a-file-a\n"), write("c", "token-in-a-file-c"));
    let b = "token-in-a-variable-b";
    let file = format!("operations.reload_token_file = '{c}'");
    let read = |more: &[(&str, &str)], file: &str| {
        let token = resolve(&[], more, file).unwrap().operations.reload_token;
        token.map(|token| token.reveal().to_owned())
    };
    let (in_file, in_variable) =
        (("CARACAL_GUARD_RELOAD_TOKEN_FILE", &*a), ("CARACAL_GUARD_RELOAD_TOKEN", b));
    assert_eq!(read(&[in_file, in_variable], &file).as_deref(), Some("token-in-a-file-a"));
    assert_eq!(read(&[in_variable], &file).as_deref(), Some(b));
    assert_eq!(read(&[], &file).as_deref(), Some("token-in-a-file-c"));
    assert_eq!(read(&[], ""), None);
}

#[test]
fn debug_of_configuration_shows_no_secret() {
    let secrets = [
        ("CARACAL_GUARD_RELOAD_TOKEN", "s3cret-s3cret-s3cret"),
        ("REDIS_URL", "redis://user:s3cret@127.0.0.1"),
        ("DATABASE_URL", "postgres://user:s3cret@127.0.0.1/caracal"),
        ("DATABASE_URL_FILE", "/run/s3cret"),
    ];
    let file = "[settings]\nREDIS_PASSWORD = 's3cret'";
    let config = resolve(&[], &secrets, file).unwrap();
    assert!(config.database.is_set());
    let text = format!("{config:?} {:?}", File::parse(file).unwrap());
    assert!(!text.contains(SECRET), "{text}");
}
