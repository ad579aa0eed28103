//! A verifier in a build that enables both of jsonwebtoken's backends.
//!
//! Run it with `cargo run --manifest-path tests/backends/Cargo.toml`, with and without `--features
//! aws_lc_rs`. It ends with an error if a check fails.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation_mandate::{ConfigError, InvalidMandate, Verifier, VerifyError};
use caracal_revocation_state::{Options, RevocationsWriter};
use jsonwebtoken::crypto::{CryptoProvider, aws_lc, rust_crypto};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error>;

const ZONE: &str = "z-1";
const AUDIENCE: &str = "https://api.example";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let signing = EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref());
    let issuer = publish(&pair).await?;
    let revocations = RevocationsWriter::new(Options::default()).reader();
    let builder = || Verifier::builder(&issuer, ZONE, AUDIENCE);

    // Check that this build has the problem in question.
    let header = Header::new(Algorithm::ES256);
    let alone = std::panic::catch_unwind(|| encode(&header, &json!({}), &signing).is_ok());
    assert!(alone.is_err(), "jsonwebtoken by itself does not panic here");

    let by_default = builder().build(&revocations);
    if cfg!(feature = "aws_lc_rs") {
        check(&by_default?, &issuer, &signing).await?;
    } else {
        let error = by_default.err();
        assert_eq!(error, Some(ConfigError::NoCrypto));
        println!("none chosen: {}", ConfigError::NoCrypto);
    }
    for (name, backend) in
        [("aws_lc_rs", &aws_lc::DEFAULT_PROVIDER), ("rust_crypto", &rust_crypto::DEFAULT_PROVIDER)]
    {
        check(&builder().with_crypto(backend).build(&revocations)?, &issuer, &signing).await?;
        println!("{name}: verifies, and rejects a forgery");
    }
    Ok(())
}

async fn check(verifier: &Verifier, issuer: &str, signing: &EncodingKey) -> Result<(), Error> {
    let good = mint(issuer, signing, &aws_lc::DEFAULT_PROVIDER)?;
    let mandate = verifier.verify(&good).await?;
    assert_eq!(mandate.zone(), ZONE);
    let (signed, _) = good.rsplit_once('.').ok_or("no signature")?;
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([1; 64]));
    let error = verifier.verify(&forged).await.err();
    assert_eq!(error, Some(VerifyError::Invalid(InvalidMandate::Signature)));
    Ok(())
}

fn mint(issuer: &str, key: &EncodingKey, backend: &CryptoProvider) -> Result<String, Error> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "agent-1", "sub_type": "application",
        "use": "resource", "client_id": "client-1", "jti": "jti-1", "zone_id": ZONE,
        "sid": "ar-1", "root_sid": "ar-1", "iat": now, "exp": now + 600,
    });
    let header = json!({ "alg": "ES256", "kid": "k1" });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature =
        (backend.signer_factory)(&Algorithm::ES256, key)?.try_sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Serves the key set at any path, and returns the issuer's name.
async fn publish(pair: &EcdsaKeyPair) -> Result<String, Error> {
    let point = pair.public_key().as_ref();
    let coordinate = |range| point.get(range).map(|half| URL_SAFE_NO_PAD.encode(half));
    let document = json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k1",
        "x": coordinate(1..33), "y": coordinate(33..65),
    }] })
    .to_string();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{document}", document.len());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok(name)
}
