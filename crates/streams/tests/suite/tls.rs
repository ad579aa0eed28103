//! TLS: errors name the file, the certificate or the setting at fault.

use tempfile::TempDir;

use crate::certificates::certificates;
use crate::program::{Ended, program};
use crate::redis_server::RedisServer;

const CA: &str = "REDIS_TLS_CA_FILE";
const CERT: &str = "REDIS_TLS_CERT_FILE";
const KEY: &str = "REDIS_TLS_KEY_FILE";

fn verify(folder: &TempDir, url: &str, files: &[(&str, &str)]) -> Ended {
    let all = files.iter().fold(program().env("REDIS_URL", url), |program, (name, file)| {
        program.env(name, &folder.path().join(file))
    });
    all.run("verify").with_code(2)
}

#[track_caller]
fn assert_names(ended: &Ended, setting: &str) {
    let begin = format!("caracal-streams: {setting}: ");
    assert!(ended.err.starts_with(&begin), "{setting} is not named: {}", ended.err);
}

#[test]
fn names_the_unusable_file() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["client", "other"]);
    std::fs::write(folder.path().join("garbage"), "no certificate").unwrap();
    let tls = "rediss://localhost:1";
    let fault = |files: &[(&str, &str)]| verify(&folder, tls, files);
    let (ca, cert, key) = ((CA, "ca.pem"), (CERT, "client.pem"), (KEY, "client.key"));
    assert_names(&fault(&[(CA, "garbage"), cert, key]), CA);
    assert_names(&fault(&[ca, (CERT, "garbage"), key]), CERT);
    assert_names(&fault(&[ca, cert, (KEY, "garbage")]), KEY);
    assert_names(&fault(&[ca, cert, (KEY, "other.key")]), KEY);
    assert_names(&fault(&[ca, cert, (KEY, "nowhere")]), KEY);
    // All files are valid: now the server is missing.
    fault(&[ca, cert, key]).prints(&["REDIS_URL"]);
    // The address that lacks TLS.
    let plain = verify(&folder, "redis://localhost:1", &[ca]);
    plain.prints(&["rediss:// in REDIS_URL"]);
    let primary = program().env("REDIS_URL", tls).env("REDIS_PRIMARY_URL", "redis://localhost:2");
    let primary = primary.env(CA, &folder.path().join("ca.pem")).run("verify").with_code(2);
    primary.prints(&["rediss:// in REDIS_PRIMARY_URL"]);
}

#[test]
fn names_the_untrusted_certificate() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["server", "client"]);
    let (_server, port) = RedisServer::start_with_tls(folder.path());
    let own = [(CERT, "client.pem"), (KEY, "client.key")];
    let url = format!("rediss://localhost:{port}");
    let doctor = |url: &str, files: &[(&str, &str)]| {
        let all = files.iter().fold(program().env("REDIS_URL", url), |program, (name, file)| {
            program.env(name, &folder.path().join(file))
        });
        all.run("doctor").with_code(2)
    };
    let publish = own.iter().fold(program().env("REDIS_URL", &url), |program, (name, file)| {
        program.env(name, &folder.path().join(file))
    });
    let publish = publish.env("CARACAL_MODE", "dev").run("publish --yes keys --zone z-1");
    for ended in [doctor(&url, &own), verify(&folder, &url, &own), publish.with_code(2)] {
        ended.prints(&["UnknownIssuer", "set REDIS_TLS_CA_FILE"]);
    }
    let all = [&[(CA, "ca.pem")], own.as_slice()].concat();
    let other_name = format!("rediss://127.0.0.1:{port}");
    verify(&folder, &other_name, &all).prints(&["certificate is for another name"]);
    // Without a client certificate: the alert may be lost with the connection.
    verify(&folder, &url, &[(CA, "ca.pem")]).prints(&["REDIS_TLS_CERT_FILE"]);
}
