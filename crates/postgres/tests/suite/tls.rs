//! Postgres behind TLS, with a certificate of a private authority.

use std::path::Path;

use caracal_revocation_postgres::Postgres;
use caracal_revocation_stream::Scope;
use caracal_test_support::certificates::Authority;
use tempfile::TempDir;

use crate::reading::{DAY, read};
use crate::server::PostgresServer;

/// Starts a server that accepts TLS only, with a certificate for `localhost`.
async fn start(authority: &Authority) -> PostgresServer {
    let mut server = PostgresServer::start().await;
    let (certificate, key) = authority.certificate("localhost", "server");
    let data = server.folder().join("data");
    server.own_file(&data.join("server.crt"), certificate.pem().as_bytes());
    server.own_file(&data.join("server.key"), key.serialize_pem().as_bytes());
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    server.run("ALTER SYSTEM SET ssl = on").await;
    server.kill();
    server.restart();
    server
}

fn postgres(url: &str, ca: Option<&Path>) -> Result<Postgres, String> {
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some(url.to_owned()),
        "DATABASE_TLS_CA_FILE" => ca.map(|path| path.display().to_string()),
        _ => None,
    };
    Postgres::from_lookup(lookup).map_err(|error| error.to_string())
}

async fn outcome(url: &str, ca: Option<&Path>) -> Result<(), String> {
    let mut postgres = postgres(url, ca)?;
    read(&mut postgres, Scope::Full(DAY)).await.1.map_err(|error| error.to_string())
}

#[tokio::test]
async fn trusts_private_authority_from_setting_or_address() {
    let folder = TempDir::new().unwrap();
    let ours = Authority::new("ours");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = file("ca.pem", &ours.pem());
    let foreign = file("foreign.pem", &Authority::new("theirs").pem());
    let broken = file("broken.pem", "no certificate");
    let server = start(&ours).await;
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let root =
        |path: &Path| format!("{by_name}?sslmode=verify-full&sslrootcert={}", path.display());

    for mode in ["", "?sslmode=require", "?sslmode=verify-ca", "?sslmode=verify-full"] {
        assert_eq!(outcome(&format!("{by_name}{mode}"), Some(&ca)).await, Ok(()), "{mode}");
    }
    assert_eq!(outcome(&root(&ca), None).await, Ok(()));
    assert_eq!(
        outcome(&root(&foreign), Some(&ca)).await,
        Ok(()),
        "the setting overrides the address"
    );

    for (url, ca) in [
        (root(&foreign), None),
        (format!("{by_name}?sslmode=verify-full"), Some(foreign.as_path())),
        // No authority of the system has signed the certificate.
        (format!("{by_name}?sslmode=verify-full"), None),
    ] {
        let error = outcome(&url, ca).await.unwrap_err();
        assert!(error.contains("UnknownIssuer; name the authority"), "{error}");
        assert!(error.contains("DATABASE_TLS_CA_FILE"), "{error}");
    }
    // The certificate names localhost, but no address.
    let error = outcome(&format!("{}?sslmode=verify-ca", server.url()), Some(&ca)).await;
    assert!(error.unwrap_err().contains("not valid for name"));

    let error = outcome(&by_name, Some(&broken)).await.unwrap_err();
    assert!(error.starts_with("DATABASE_TLS_CA_FILE: the file of authorities holds no"), "{error}");
    let error = outcome(&root(&broken), None).await.unwrap_err();
    assert!(error.starts_with("DATABASE_URL: the file of authorities holds no"), "{error}");
}
