//! Redis over TLS, with a private authority and certificates on both sides.

use std::path::Path;

use caracal_revocation::admin::acl;
use caracal_revocation::state::OutageCause;
use caracal_revocation::{Follower, Revocations, Settings};
use tempfile::TempDir;

use crate::certificates::certificates;
use crate::live::{eventually, is_revoked, publisher, ready, revoke, ring};
use crate::redis_server::RedisServer;

/// The rights that the README documents for a follower.
const LEAST: &str = acl::FOLLOW;
/// The further rights for dead letters.
pub(crate) const LETTERS: &str = acl::DEAD_LETTERS;

/// Creates a user with the password `secret` and these rights.
pub(crate) async fn allow(server: &RedisServer, user: &str, rights: &str) {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(user).arg("reset").arg("on").arg(">secret");
    command.arg(rights.split_whitespace().collect::<Vec<_>>());
    command.exec_async(&mut server.connection().await).await.unwrap();
}

fn follow(port: u16, files: &[(&str, &Path)]) -> Revocations {
    follow_at(&format!("rediss://localhost:{port}"), files)
}

fn follow_at(url: &str, files: &[(&str, &Path)]) -> Revocations {
    let settings = Settings::from_lookup(|name| match name {
        "REDIS_URL" => Some(url.to_owned()),
        "CARACAL_MODE" => Some("dev".to_owned()),
        _ => {
            let file = files.iter().find(|(setting, _)| *setting == name);
            file.map(|(_, path)| path.to_str().unwrap().to_owned())
        }
    });
    Follower::new(settings.unwrap().with_keys(ring())).spawn()
}

#[tokio::test]
async fn connects_with_private_authority_and_client_certificate() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["server", "client"]);
    let path = |name: &str| folder.path().join(name);
    let (server, port) = RedisServer::start_with_tls(folder.path());
    revoke(&publisher(&server).await, "ar-1").await;
    let (ca, cert, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let ca = ("REDIS_TLS_CA_FILE", ca.as_path());
    let own = [("REDIS_TLS_CERT_FILE", cert.as_path()), ("REDIS_TLS_KEY_FILE", key.as_path())];

    let both = follow(port, &[&[ca], own.as_slice()].concat());
    ready(&both).await;
    assert!(is_revoked(&both, "ar-1"));

    let outage = |revocations: &Revocations| revocations.readiness(revocations.now()).outage;
    let stranger = follow(port, &own);
    eventually("the server's certificate is rejected", || {
        outage(&stranger) == Some(OutageCause::Tls)
    })
    .await;
    let nobody = follow(port, &[ca]);
    eventually("the server requires a client certificate", || {
        matches!(outage(&nobody), Some(OutageCause::Tls | OutageCause::Unreachable))
    })
    .await;
    assert!(!nobody.readiness(nobody.now()).is_ready());

    // Users with the documented rights, and without one of them.
    allow(&server, "least", LEAST).await;
    allow(&server, "less", &LEAST.replace("+xinfo ", "")).await;
    let url = |user: &str| format!("rediss://{user}:secret@localhost:{port}");
    let files = [&[ca], own.as_slice()].concat();
    let least = follow_at(&url("least"), &files);
    ready(&least).await;
    assert!(is_revoked(&least, "ar-1"));
    let less = follow_at(&url("less"), &files);
    eventually("the missing right is reported", || outage(&less) == Some(OutageCause::Forbidden))
        .await;
    let wrong = follow_at(&url("least").replace("secret", "wrong"), &files);
    eventually("the wrong password is reported", || outage(&wrong) == Some(OutageCause::Login))
        .await;
    assert!([less, wrong].iter().all(|view| !view.readiness(view.now()).is_ready()));
}

#[test]
fn names_unusable_certificates() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["client"]);
    let fault = |url: &str, files: &[(&str, &str)]| {
        let lookup = |name: &str| match name {
            "REDIS_URL" => Some(url.to_owned()),
            "CARACAL_MODE" => Some("dev".to_owned()),
            _ => {
                let file = files.iter().find(|(setting, _)| *setting == name);
                file.map(|(_, name)| folder.path().join(name).to_str().unwrap().to_owned())
            }
        };
        Settings::from_lookup(lookup).map(drop).map_err(|error| error.setting())
    };
    let (plain, tls) = ("redis://localhost", "rediss://localhost");
    let (ca, cert, key) = ("REDIS_TLS_CA_FILE", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE");
    assert_eq!(fault(plain, &[(ca, "ca.pem")]), Err(ca));
    assert_eq!(fault(tls, &[(ca, "nowhere.pem")]), Err(ca));
    assert_eq!(fault(tls, &[(cert, "client.pem")]), Err(key));
    assert_eq!(fault(tls, &[(key, "client.key")]), Err(cert));
    assert_eq!(fault(tls, &[(ca, "ca.pem"), (cert, "client.pem"), (key, "client.key")]), Ok(()));
}
