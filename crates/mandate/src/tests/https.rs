//! Keys over HTTPS, from correct servers and from faulty ones.

use caracal_test_support::certificates::Authority;
use caracal_test_support::ports::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::*;
use crate::ConfigError;
use crate::fetch::{FetchError, Fetcher};
use crate::jwks::Unusable;

/// Accepts TLS connections with a certificate for this name.
fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let (certificate, key) = authority.certificate(name, "server");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The behaviour of a server after it has read a request.
#[derive(Clone)]
enum ResponseMode {
    /// Sends this, and closes.
    Complete(String),
    /// Sends this, and then one byte after another without an end.
    Drip(String),
    /// Sends this, then nothing more, and leaves the connection open.
    Stall(String),
}

async fn respond(mut stream: TlsStream<TcpStream>, mode: ResponseMode) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let (ResponseMode::Complete(response)
    | ResponseMode::Drip(response)
    | ResponseMode::Stall(response)) = &mode;
    stream.write_all(response.as_bytes()).await?;
    stream.flush().await?;
    match mode {
        ResponseMode::Complete(_) => stream.shutdown().await,
        ResponseMode::Stall(_) => std::future::pending().await,
        ResponseMode::Drip(_) => loop {
            stream.write_all(b" ").await?;
            stream.flush().await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        },
    }
}

/// Serves on a new port. Returns the URL of the keys.
async fn serve(acceptor: TlsAcceptor, mode: ResponseMode) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, mode) = (acceptor.clone(), mode.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = respond(stream, mode).await;
                }
            });
        }
    });
    url
}

fn ok(document: &str) -> String {
    let length = document.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{document}")
}

/// A deadline that no test reaches.
const LONG: Duration = Duration::from_secs(60);
/// A deadline for responses that never come.
const SHORT: Duration = Duration::from_millis(500);

async fn fetch(url: &str, authority: &Authority) -> Result<Vec<Box<str>>, FetchError> {
    fetch_within(LONG, url, authority).await
}

async fn fetch_within(
    deadline: Duration,
    url: &str,
    authority: &Authority,
) -> Result<Vec<Box<str>>, FetchError> {
    let pem = authority.pem();
    let keys =
        Fetcher::new(url, Some(pem.as_bytes()), false, deadline).unwrap().fetch().await?.keys;
    let mut kids: Vec<_> = keys.into_keys().collect();
    kids.sort();
    Ok(kids)
}

async fn fetch_response(response: String) -> Result<Vec<Box<str>>, FetchError> {
    let authority = Authority::new("Ours");
    let url = serve(acceptor(&authority, "localhost"), ResponseMode::Complete(response)).await;
    fetch(&url, &authority).await
}

#[tokio::test]
async fn verifies_with_keys_from_server_of_private_authority() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[]).await;
    let authority = Authority::new("Ours");
    let url =
        serve(acceptor(&authority, "localhost"), ResponseMode::Complete(ok(&document(&[&key]))))
            .await;
    let token = key.sign(&sts.claims("ar-1"));
    let trusting = |pem: &str| {
        let builder = sts.builder().with_keys_url(&url).with_keys_authorities(pem.as_bytes());
        let builder = builder.with_keys_deadline(LONG);
        builder.build(&sts.revocations).unwrap()
    };
    let verifier = trusting(&authority.pem());
    verifier.warm_up().await.unwrap();
    assert_eq!(verifier.verify(&token).await.unwrap().zone(), ZONE);
    // Neither another authority nor one of the operating system has signed its certificate.
    let foreign = trusting(&Authority::new("Theirs").pem());
    assert_eq!(foreign.warm_up().await, Err(crate::KeysUnavailable));
    let system = sts.builder().with_keys_url(&url).build(&sts.revocations);
    match system {
        Ok(verifier) => assert_eq!(verifier.warm_up().await, Err(crate::KeysUnavailable)),
        Err(error) => assert_eq!(error, ConfigError::NoCertificates, "no system authorities"),
    }
    assert_eq!(sts.fetches(), 0);
}

#[tokio::test]
async fn rejects_certificate_of_wrong_name_or_authority() {
    let document = ok(&document(&[&SigningKey::new("k1")]));
    let authority = Authority::new("Ours");
    let tls_error = async |acceptor| {
        let url = serve(acceptor, ResponseMode::Complete(document.clone())).await;
        match fetch(&url, &authority).await {
            Err(FetchError::Failed(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = tls_error(acceptor(&authority, "sts.example")).await;
    assert!(error.contains("certificate not valid for name"), "{error}");
    let error = tls_error(acceptor(&Authority::new("Theirs"), "localhost")).await;
    assert!(error.contains("UnknownIssuer"), "{error}");
    let url =
        serve(acceptor(&authority, "localhost"), ResponseMode::Complete(document.clone())).await;
    assert_eq!(
        fetch(&url, &authority).await.unwrap(),
        [Box::<str>::from("k1")],
        "the right name and authority"
    );
}

#[tokio::test]
async fn fails_if_server_is_silent_or_without_tls() {
    let authority = Authority::new("Ours");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Never accepted: the handshake hangs.
    let url = format!("https://localhost:{port}/keys");
    assert_eq!(fetch_within(SHORT, &url, &authority).await, Err(FetchError::Deadline(SHORT)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(ok("{}").as_bytes()).await;
        }
    });
    assert!(matches!(fetch(&url, &authority).await, Err(FetchError::Failed(_))));
    let closed = free_port().unwrap();
    let url = format!("https://localhost:{closed}/keys");
    assert!(matches!(fetch(&url, &authority).await, Err(FetchError::Failed(_))));
}

#[tokio::test]
async fn fails_if_body_drips_or_stops() {
    let authority = Authority::new("Ours");
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{".to_owned();
    for mode in [
        ResponseMode::Drip(head.clone()),
        ResponseMode::Stall(head),
        ResponseMode::Stall(String::new()),
    ] {
        let url = serve(acceptor(&authority, "localhost"), mode).await;
        assert_eq!(fetch_within(SHORT, &url, &authority).await, Err(FetchError::Deadline(SHORT)));
    }
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{\"keys\":[".to_owned();
    assert_eq!(fetch_response(short).await, Err(FetchError::Body));
}

#[tokio::test]
async fn accepts_only_status_200_and_follows_no_redirect() {
    let key = SigningKey::new("k1");
    let authority = Authority::new("Ours");
    let good = ok(&document(&[&key]));
    let elsewhere = serve(acceptor(&authority, "localhost"), ResponseMode::Complete(good)).await;
    assert_eq!(fetch(&elsewhere, &authority).await.unwrap(), [Box::<str>::from("k1")]);
    for status in [301, 302, 303, 307, 308, 204, 206, 304, 401, 500] {
        let length = document(&[&key]).len();
        let response = format!(
            "HTTP/1.1 {status} X\r\nlocation: {elsewhere}\r\ncontent-length: {length}\r\n\r\n{}",
            document(&[&key]),
        );
        let url = serve(acceptor(&authority, "localhost"), ResponseMode::Complete(response)).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(fetch(&url, &authority).await, Err(FetchError::Status(status)));
    }
}

#[tokio::test]
async fn reads_document_of_256_kib_and_not_more() {
    let document = document(&[&SigningKey::new("k1")]);
    let limit = 256 * 1024;
    let padded = |length: usize| format!("{document}{}", " ".repeat(length - document.len()));
    assert_eq!(fetch_response(ok(&padded(limit))).await.unwrap(), [Box::<str>::from("k1")]);
    assert_eq!(fetch_response(ok(&padded(limit + 1))).await, Err(FetchError::Body));
    // Without a `content-length`.
    let unannounced = |length| format!("HTTP/1.1 200 OK\r\n\r\n{}", padded(length));
    assert_eq!(fetch_response(unannounced(limit)).await.unwrap(), [Box::<str>::from("k1")]);
    assert_eq!(fetch_response(unannounced(limit + 1)).await, Err(FetchError::Body));
}

#[tokio::test]
async fn rejects_document_without_usable_key() {
    let key = SigningKey::new("k1");
    let with = |name: &str, value: Value| {
        let jwk = with(key.jwk(), name, value);
        json!({ "keys": [jwk] }).to_string()
    };
    let twice = json!({ "keys": [key.jwk(), SigningKey::new("k1").jwk()] }).to_string();
    let cases = [
        ("<html>".to_owned(), Unusable::NotKeys),
        ("{\"keys\":[".into(), Unusable::NotKeys),
        ("{\"keys\":[]}".into(), Unusable::Empty),
        (with("kty", json!("RSA")), Unusable::Empty),
        (with("crv", json!("P-384")), Unusable::Empty),
        (with("alg", json!("RS256")), Unusable::Empty),
        (with("alg", Value::Null), Unusable::Empty),
        (with("use", json!("enc")), Unusable::Empty),
        (with("key_ops", json!(["sign"])), Unusable::Empty),
    ];
    for (document, why) in cases {
        let fetched = fetch_response(ok(&document)).await;
        assert_eq!(fetched, Err(FetchError::Unusable(why)), "{document}");
    }
    let fetched = fetch_response(ok(&twice)).await;
    assert!(matches!(fetched, Err(FetchError::Unusable(Unusable::Faulty(_)))), "{fetched:?}");
    for (name, value) in [("use", Value::Null), ("key_ops", json!(["verify"])), ("x5t", json!(1))] {
        assert_eq!(fetch_response(ok(&with(name, value))).await.unwrap(), [Box::<str>::from("k1")]);
    }
}

#[tokio::test]
async fn reports_authorities_that_cannot_be_read() {
    let sts = Sts::start(&[]).await;
    let pem = Authority::new("Ours").pem();
    let broken = pem.replacen("MII", "MI\u{e4}", 1);
    for text in ["", "no certificate", &broken, "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        let builder = sts.builder().with_keys_url("https://localhost/keys");
        let built = builder.with_keys_authorities(text.as_bytes()).build(&sts.revocations);
        assert_eq!(built.err(), Some(ConfigError::NoCertificates), "{text}");
    }
}
