//! Settings: their precedence, errors that name the setting, and no secret in any output.

use std::fs;

use crate::program::{KEY, at, client, program};
use crate::redis_server::RedisServer;

const PASSWORD: &str = "correct-horse-9";

fn with_password() -> RedisServer {
    RedisServer::start_with(&["--appendonly", "yes", "--requirepass", PASSWORD])
}

#[test]
fn names_the_setting_at_fault() {
    let server = RedisServer::start();
    let port = server.port().to_string();
    program().run("verify").with_code(2).prints(&["REDIS_URL", "REDIS_HOST"]);
    program().env("REDIS_URL", "http://x").run("verify").with_code(2).prints(&["REDIS_URL"]);
    let host = || program().env("REDIS_HOST", "127.0.0.1");
    host().env("REDIS_PORT", "x").run("verify").with_code(2).prints(&["REDIS_PORT"]);
    host().env("REDIS_PORT", "1").run("verify").with_code(2).prints(&["REDIS_HOST and REDIS_PORT"]);
    let local = || host().env("REDIS_PORT", &port);
    local()
        .env("REDIS_PASSWORD_FILE", "/nowhere")
        .run("verify")
        .with_code(2)
        .prints(&["REDIS_PASSWORD_FILE"]);
    local().run("verify").with_code(1);
    local().run("watch --until-idle").with_code(2).prints(&["STREAMS_HMAC_KEY"]);
    local().env("STREAMS_HMAC_KEY", "abcd").run("check").with_code(2).prints(&["STREAMS_HMAC_KEY"]);
    local().env("CARACAL_MODE", "x").run("check").with_code(2).prints(&["CARACAL_MODE"]);
}

#[test]
fn reads_the_password_from_each_source() {
    let server = with_password();
    let host =
        || program().env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &server.port().to_string());
    host().run("verify").with_code(2).prints(&["REDIS_PASSWORD"]);
    host().env("REDIS_PASSWORD", "wrong-1").run("verify").with_code(2).prints(&["REDIS_PASSWORD"]);
    host().env("REDIS_PASSWORD", PASSWORD).run("verify").with_code(1);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("secrets")).unwrap();
    for file in ["named", "redisPassword", "secrets/redisPassword"] {
        fs::write(path(file), format!("{PASSWORD}\n")).unwrap();
    }
    host()
        .env("REDIS_PASSWORD_FILE", &path("named"))
        .env("REDIS_PASSWORD", "wrong")
        .run("verify")
        .with_code(1);
    host().env("CARACAL_SECRETS_DIR", &path("")).run("verify").with_code(1);
    host().env("CARACAL_HOME", &path("")).run("verify").with_code(1);
    host().run_with(&["--password-file", &path("named"), "verify"]).with_code(1);
    let url = format!("redis://127.0.0.1:{}", server.port());
    program().run_with(&["--url", &url, "--password-file", &path("named"), "verify"]).with_code(1);
}

#[test]
fn flags_override_environment_and_file() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("streams.env");
    fs::write(&file, format!("REDIS_URL={}\nSTREAMS_HMAC_KEY={KEY}\n", server.url())).unwrap();
    let file = file.to_str().unwrap();
    program().run_with(&["--settings", file, "watch", "--until-idle"]).with_code(0);
    program().env("CARACAL_HOME", folder.path().to_str().unwrap()).run("verify").with_code(1);
    let elsewhere = program().env("REDIS_URL", "redis://127.0.0.1:1");
    elsewhere.run_with(&["--settings", file, "verify"]).with_code(2);
    let port = server.port().to_string();
    program()
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .run_with(&["--host", "127.0.0.1", "--port", &port, "verify"])
        .with_code(1);
}

#[test]
fn accepts_no_secret_argument_and_shows_none() {
    let server = with_password();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port());
    let rejected = program().run_with(&["--url", &url, "verify"]).with_code(2).prints(&["--url"]);
    let wrong = url.replace(PASSWORD, "another-secret-7");
    let runs = [
        rejected,
        program().env("REDIS_URL", &url).env("STREAMS_HMAC_KEY", KEY).run("doctor"),
        program().env("REDIS_URL", &url).env("STREAMS_HMAC_KEY", KEY).run("doctor --json"),
        program().env("REDIS_URL", &wrong).env("STREAMS_HMAC_KEY", KEY).run("doctor --json"),
        program().env("REDIS_URL", &wrong).run("provision"),
        program().env("REDIS_URL", &format!("http://{PASSWORD}")).run("provision"),
        program().env("STREAMS_HMAC_KEY", &format!("{KEY}zz")).run("check"),
        program().run("--help"),
    ];
    for run in runs {
        for secret in [PASSWORD, "another-secret-7", KEY] {
            assert!(
                !run.out.contains(secret) && !run.err.contains(secret),
                "{}{}",
                run.out,
                run.err
            );
        }
    }
}

#[test]
fn prints_help_completions_and_man_pages() {
    program().run("--help").with_code(0).prints(&[
        "Examples:",
        "REDIS_PASSWORD_FILE",
        "Exit codes",
    ]);
    for shell in ["bash", "zsh", "fish"] {
        program().run(&format!("completions {shell}")).with_code(0).prints(&["dead-letters"]);
    }
    let folder = tempfile::tempdir().unwrap();
    program().run_with(&["man", folder.path().to_str().unwrap()]).with_code(0);
    for page in ["caracal-streams.1", "caracal-streams-doctor.1", "caracal-streams-publish.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    program().run("no-such-command").with_code(2);
    let missing = folder.path().join("a").join("b");
    program().run_with(&["man", missing.to_str().unwrap()]).with_code(0);
    assert!(missing.join("caracal-streams.1").is_file());
}

#[test]
fn names_non_text_variable_and_hides_its_value() {
    use std::os::unix::ffi::OsStrExt;

    let server = with_password();
    let value = std::ffi::OsStr::from_bytes(b"hunter2\xff");
    for name in ["REDIS_PASSWORD", "STREAMS_HMAC_KEY", "CARACAL_MODE", "REVOCATION_STRICT"] {
        let ended =
            at(&server).env(name, value).run("verify").with_code(2).prints(&[name, "UTF-8"]);
        let all = ended.out + &ended.err;
        assert!(!all.contains("hunter2") && !all.contains("panic"), "{all}");
    }
    // A variable that is not a setting is ignored.
    let url = server.url().replace("redis://", &format!("redis://:{PASSWORD}@"));
    at(&server).env("REDIS_URL", &url).env("LS_COLORS", value).run("verify").with_code(1);
}

#[test]
fn password_file_flag_overrides_the_address() {
    let server = with_password();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    let url = server.url().replace("redis://", "redis://:old@");
    let on = || program().env("REDIS_URL", &url);
    on().run("verify").with_code(2);
    on().run_with(&["--password-file", file.to_str().unwrap(), "verify"]).with_code(1);
    let sentinels = program()
        .env("REDIS_SENTINELS", "127.0.0.1:1")
        .env("REDIS_SENTINEL_MASTER", "main")
        .env("REDIS_SENTINEL_PASSWORD", "x");
    let port = server.port().to_string();
    let args = ["--host", "127.0.0.1", "--port", &port, "--password-file", file.to_str().unwrap()];
    sentinels.run_with(&[args.as_slice(), &["verify"]].concat()).with_code(1);
}

#[test]
fn closed_output_is_no_failure() {
    let server = RedisServer::start();
    let fill =
        "for i = 1, 5000 do redis.call('XADD', 'caracal.keys.invalidate', '*', 'a', 'b') end";
    client(&server).run_with(&["EVAL", fill, "0"]);
    let shell = format!("'{}' watch --until-idle | head -1", env!("CARGO_BIN_EXE_caracal-streams"));
    let ended = std::process::Command::new("sh")
        .args(["-c", &shell])
        .env("REDIS_URL", server.url())
        .env("STREAMS_HMAC_KEY", KEY)
        .output()
        .unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    at(&server).run("verify").with_code(1);
}

#[test]
fn exit_code_ignores_closed_output() {
    let server = RedisServer::start();
    let url = server.url();
    // The first reader ends before the program writes; the second closes standard error too.
    for redirection in ["", "2>&1"] {
        for (args, code) in
            [("verify", "1"), ("verify --json", "1"), ("doctor", "2"), ("provision", "0")]
        {
            let program = env!("CARGO_BIN_EXE_caracal-streams");
            let shell = format!(
                "{{ sleep 0.2; '{program}' {args} {redirection}; echo $? >&3; }} 3>&2 | true"
            );
            let ended = std::process::Command::new("sh")
                .args(["-c", &shell])
                .env("REDIS_URL", &url)
                .env("STREAMS_HMAC_KEY", KEY)
                .output()
                .unwrap();
            let output = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(output.trim(), code, "{args} {redirection}");
            client(&server).run("FLUSHALL");
        }
    }
}
