//! TLS on either side.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use caracal_test_support::certificates::certificates;
use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::service::{Seen, app};
use super::{Proxied, eventually};
use crate::exchange::status;
use crate::program::Guard;
use crate::upstream::Upstream;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Connects to the proxy as `localhost`, and trusts the authority in this folder.
async fn connect(
    proxied: &Proxied,
    folder: &Path,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(proxied.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Returns the configuration of a proxy with the certificate in this folder.
fn config(folder: &Path) -> String {
    let path = |name| folder.join(name).display().to_string();
    let (cert, key) = (path("proxy.pem"), path("proxy.key"));
    format!("[proxy]\ntls_cert = {cert:?}\ntls_key = {key:?}\n")
}

async fn exchange(mut stream: TlsStream<TcpStream>, proxied: &Proxied) -> String {
    let token = proxied.token("ar-1");
    let request =
        format!("GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    let _ = stream.read_to_string(&mut response).await;
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_tls_with_http1_and_http2() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["proxy"]);
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address);
    let proxied = Proxied::start(&url, &config(folder.path())).await;

    let stream = connect(&proxied, folder.path(), &[b"http/1.1"]).await.unwrap();
    let response = exchange(stream, &proxied).await;
    assert!(response.ends_with("hello"), "{response}");

    let stream = connect(&proxied, folder.path(), &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let token = format!("Bearer {}", proxied.world.mint("ar-1"));
    let request = Request::get("https://localhost/a").header("authorization", token);
    let response = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.collect().await.unwrap().to_bytes(), "hello");
    for received in upstream.take() {
        assert_eq!(received.all("x-forwarded-proto"), ["https"]);
    }
    // A client without TLS gets no HTTP answer, and no request passes.
    let response = proxied.request("ar-1", "GET", "/", &[], b"").await;
    assert!(!response.starts_with("HTTP"), "{response}");
    assert_eq!(upstream.take(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_changed_certificate_and_keeps_the_old_one_if_bad() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["proxy"]);
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.address);
    let proxied = Proxied::start(&url, &config(folder.path())).await;
    let old = TempDir::new().unwrap();
    std::fs::copy(folder.path().join("ca.pem"), old.path().join("ca.pem")).unwrap();
    connect(&proxied, old.path(), &[]).await.unwrap();

    std::fs::write(folder.path().join("proxy.key"), "no key").unwrap();
    eventually("reported", || proxied.guard.log().contains("certificate not reloaded")).await;
    assert!(proxied.guard.log().contains("proxy.key: holds no private key"));
    connect(&proxied, old.path(), &[]).await.unwrap();

    // Another authority, so that the client can distinguish the certificates.
    certificates(folder.path(), &["proxy"]);
    eventually("reloaded", || proxied.guard.log().contains("certificate reloaded")).await;
    let stream = connect(&proxied, folder.path(), &[]).await.unwrap();
    assert_eq!(status(&exchange(stream, &proxied).await), 200);
    connect(&proxied, old.path(), &[]).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_over_tls_only_to_a_trusted_certificate() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    certificates(folder.path(), &["service"]);
    certificates(other.path(), &["service"]);
    let (url, seen) = tls_service(folder.path()).await;
    let trusting = |folder: &Path, more: &str| {
        format!("[proxy]\nupstream_ca_file = {:?}\n{more}", folder.join("ca.pem"))
    };
    for (more, version) in [("", "HTTP/1.1"), ("upstream_http2 = true\n", "HTTP/2.0")] {
        let proxied = Proxied::start(&url, &trusting(folder.path(), more)).await;
        let response =
            proxied.request("ar-1", "POST", "/upload", &["Content-Length: 0"], b"").await;
        assert!(response.ends_with("whole"), "{response}");
        assert_eq!(seen.versions().last().map(String::as_str), Some(version));
        let before = seen.versions().len();
        let proxied = Proxied::start(&url, &trusting(other.path(), more)).await;
        let response =
            proxied.request("ar-1", "POST", "/upload", &["Content-Length: 0"], b"").await;
        assert_eq!(status(&response), 502, "{response}");
        assert_eq!(seen.versions().len(), before);
    }
}

/// Serves over TLS, with the certificate in this folder.
async fn tls_service(folder: &Path) -> (String, Seen) {
    let cert = CertificateDer::from_pem_file(folder.join("service.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("service.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![cert], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let app = app(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(app);
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (format!("https://localhost:{port}"), seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_files_stop_the_start_and_are_named() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path(), &["proxy", "other"]);
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let world = crate::world::World::start().await;
    for (name, value, other, expected) in [
        ("CARACAL_GUARD_TLS_CERT", path("proxy.pem"), None, "CARACAL_GUARD_TLS_KEY: missing"),
        ("CARACAL_GUARD_TLS_KEY", path("proxy.key"), None, "CARACAL_GUARD_TLS_CERT: missing"),
        ("CARACAL_GUARD_TLS_CERT", path("none.pem"), Some("proxy.key"), "none.pem: No such file"),
        ("CARACAL_GUARD_TLS_CERT", path("empty.pem"), Some("proxy.key"), "holds no certificate"),
        ("CARACAL_GUARD_TLS_CERT", path("proxy.pem"), Some("other.key"), "other.key: keys may not"),
        ("CARACAL_GUARD_TLS_CERT", path("proxy.pem"), Some("other.pem"), "holds no private key"),
        ("CARACAL_GUARD_UPSTREAM_CA_FILE", path("empty.pem"), None, "holds no certificate"),
        ("CARACAL_GUARD_TRUSTED_PROXIES", "10.0.0.0/33".to_owned(), None, "expected networks"),
        ("CARACAL_GUARD_UPSTREAM_HTTP2", "yes".to_owned(), None, "expected true or false"),
    ] {
        let mut environment = world.environment();
        environment.push((name, value));
        environment.extend(other.map(|other| ("CARACAL_GUARD_TLS_KEY", path(other))));
        let listen = ["--listen", "127.0.0.1:0", "--upstream", "https://localhost"];
        let mut guard = Guard::launch(&environment, &listen);
        eventually(expected, || guard.has_ended()).await;
        let log = guard.log();
        assert!(log.contains("error: CARACAL_GUARD_") && log.contains(expected), "{log}");
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_caracal-guard"));
        let check = check.env_clear().envs(environment).arg("check-config").args(listen).output();
        let check = check.unwrap();
        let error = String::from_utf8_lossy(&check.stderr);
        assert_eq!(check.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
