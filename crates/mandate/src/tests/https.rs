//! Keys over HTTPS, from servers that speak it well, badly, or not at all.

use caracal_test_support::certificates::Authority;
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

/// What a server does with a connection whose request it has read.
#[derive(Clone)]
enum Manner {
    /// Says this, and closes.
    Say(String),
    /// Says this, and then a byte now and then for ever.
    Drip(String),
    /// Says this, and nothing more.
    Fall(String),
}

async fn converse(mut stream: TlsStream<TcpStream>, manner: Manner) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let (Manner::Say(words) | Manner::Drip(words) | Manner::Fall(words)) = &manner;
    stream.write_all(words.as_bytes()).await?;
    stream.flush().await?;
    match manner {
        Manner::Say(_) => stream.shutdown().await,
        Manner::Fall(_) => std::future::pending().await,
        Manner::Drip(_) => loop {
            stream.write_all(b" ").await?;
            stream.flush().await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        },
    }
}

/// Serves on a port of its own; the URL of the keys there.
async fn serve(acceptor: TlsAcceptor, manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, manner) = (acceptor.clone(), manner.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = converse(stream, manner).await;
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

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what never comes.
const SHORT: Duration = Duration::from_millis(500);

async fn fetch(url: &str, authority: &Authority) -> Result<Vec<Box<str>>, FetchError> {
    fetch_within(PATIENCE, url, authority).await
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

async fn fetch_said(words: String) -> Result<Vec<Box<str>>, FetchError> {
    let authority = Authority::new("Ours");
    let url = serve(acceptor(&authority, "localhost"), Manner::Say(words)).await;
    fetch(&url, &authority).await
}

#[tokio::test]
async fn a_mandate_is_verified_with_keys_from_an_https_server_of_a_private_authority() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[]).await;
    let authority = Authority::new("Ours");
    let url = serve(acceptor(&authority, "localhost"), Manner::Say(ok(&document(&[&key])))).await;
    let token = key.sign(&sts.claims("ar-1"));
    let trusting = |pem: &str| {
        let builder = sts.builder().with_keys_url(&url).with_keys_authorities(pem.as_bytes());
        let builder = builder.with_keys_deadline(PATIENCE);
        builder.build(&sts.revocations).unwrap()
    };
    let verifier = trusting(&authority.pem());
    verifier.warm_up().await.unwrap();
    assert_eq!(verifier.verify(&token).await.unwrap().zone(), ZONE);
    // Another authority, and those of the operating system, have not signed its certificate.
    let foreign = trusting(&Authority::new("Theirs").pem());
    assert_eq!(foreign.warm_up().await, Err(crate::KeysUnavailable));
    let system = sts.builder().with_keys_url(&url).build(&sts.revocations);
    match system {
        Ok(verifier) => assert_eq!(verifier.warm_up().await, Err(crate::KeysUnavailable)),
        Err(error) => assert_eq!(error, ConfigError::NoCertificates, "there are none here"),
    }
    assert_eq!(sts.fetches(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_another_authority_is_refused() {
    let document = ok(&document(&[&SigningKey::new("k1")]));
    let authority = Authority::new("Ours");
    let refused = async |acceptor| {
        let url = serve(acceptor, Manner::Say(document.clone())).await;
        match fetch(&url, &authority).await {
            Err(FetchError::Failed(words)) => words,
            other => panic!("{other:?}"),
        }
    };
    let words = refused(acceptor(&authority, "sts.example")).await;
    assert!(words.contains("certificate not valid for name"), "{words}");
    let words = refused(acceptor(&Authority::new("Theirs"), "localhost")).await;
    assert!(words.contains("UnknownIssuer"), "{words}");
    let url = serve(acceptor(&authority, "localhost"), Manner::Say(document.clone())).await;
    assert_eq!(
        fetch(&url, &authority).await.unwrap(),
        [Box::<str>::from("k1")],
        "the one that is right"
    );
}

#[tokio::test]
async fn a_server_without_tls_or_without_a_word_is_given_up_on() {
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
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("https://localhost:{closed}/keys");
    assert!(matches!(fetch(&url, &authority).await, Err(FetchError::Failed(_))));
}

#[tokio::test]
async fn a_body_that_drips_or_stops_is_given_up_on() {
    let authority = Authority::new("Ours");
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{".to_owned();
    for manner in [Manner::Drip(head.clone()), Manner::Fall(head), Manner::Fall(String::new())] {
        let url = serve(acceptor(&authority, "localhost"), manner).await;
        assert_eq!(fetch_within(SHORT, &url, &authority).await, Err(FetchError::Deadline(SHORT)));
    }
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{\"keys\":[".to_owned();
    assert_eq!(fetch_said(short).await, Err(FetchError::Body));
}

#[tokio::test]
async fn redirects_and_other_answers_than_200_are_not_followed() {
    let key = SigningKey::new("k1");
    let authority = Authority::new("Ours");
    let good = ok(&document(&[&key]));
    let elsewhere = serve(acceptor(&authority, "localhost"), Manner::Say(good)).await;
    assert_eq!(fetch(&elsewhere, &authority).await.unwrap(), [Box::<str>::from("k1")]);
    for status in [301, 302, 303, 307, 308, 204, 206, 304, 401, 500] {
        let length = document(&[&key]).len();
        let words = format!(
            "HTTP/1.1 {status} X\r\nlocation: {elsewhere}\r\ncontent-length: {length}\r\n\r\n{}",
            document(&[&key]),
        );
        let url = serve(acceptor(&authority, "localhost"), Manner::Say(words)).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(fetch(&url, &authority).await, Err(FetchError::Status(status)));
    }
}

#[tokio::test]
async fn a_document_of_256_kib_is_read_and_one_byte_more_is_not() {
    let document = document(&[&SigningKey::new("k1")]);
    let limit = 256 * 1024;
    let padded = |length: usize| format!("{document}{}", " ".repeat(length - document.len()));
    assert_eq!(fetch_said(ok(&padded(limit))).await.unwrap(), [Box::<str>::from("k1")]);
    assert_eq!(fetch_said(ok(&padded(limit + 1))).await, Err(FetchError::Body));
    // The same without a length that would tell before.
    let unannounced = |length| format!("HTTP/1.1 200 OK\r\n\r\n{}", padded(length));
    assert_eq!(fetch_said(unannounced(limit)).await.unwrap(), [Box::<str>::from("k1")]);
    assert_eq!(fetch_said(unannounced(limit + 1)).await, Err(FetchError::Body));
}

#[tokio::test]
async fn a_document_that_holds_no_key_for_mandates_is_refused() {
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
        let fetched = fetch_said(ok(&document)).await;
        assert_eq!(fetched, Err(FetchError::Unusable(why)), "{document}");
    }
    let fetched = fetch_said(ok(&twice)).await;
    assert!(matches!(fetched, Err(FetchError::Unusable(Unusable::Faulty(_)))), "{fetched:?}");
    for (name, value) in [("use", Value::Null), ("key_ops", json!(["verify"])), ("x5t", json!(1))] {
        assert_eq!(fetch_said(ok(&with(name, value))).await.unwrap(), [Box::<str>::from("k1")]);
    }
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_a_mistake_to_be_told() {
    let sts = Sts::start(&[]).await;
    let pem = Authority::new("Ours").pem();
    let broken = pem.replacen("MII", "MI\u{e4}", 1);
    for text in ["", "no certificate", &broken, "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        let builder = sts.builder().with_keys_url("https://localhost/keys");
        let built = builder.with_keys_authorities(text.as_bytes()).build(&sts.revocations);
        assert_eq!(built.err(), Some(ConfigError::NoCertificates), "{text}");
    }
}
