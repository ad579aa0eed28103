//! The certificate of the reverse proxy, read again when its files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::{ConfigError, TlsFiles};
use crate::server::Shutdown;

const CERT: &str = "CARACAL_GUARD_TLS_CERT";
const KEY: &str = "CARACAL_GUARD_TLS_KEY";

/// The time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(2);

/// A certificate that follows its files.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: Arc<Current>,
    /// The content of the files when they were last read.
    seen: (Vec<u8>, Vec<u8>),
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file cannot be read, or the key is of another certificate.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, ConfigError> {
        let seen = (read(CERT, &files.cert)?, read(KEY, &files.key)?);
        let current = Current(ArcSwap::from_pointee(parse(files, &seen)?));
        Ok(Self { files: files.clone(), current: Arc::new(current), seen })
    }

    /// Returns the acceptor of connections: TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, ConfigError> {
        let builder = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new(CERT, error))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again when they change, until the shutdown. New files that cannot be used
    /// are reported, and the old certificate stays.
    pub(crate) async fn follow(mut self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            match self.reread() {
                Ok(false) => {}
                Ok(true) => tracing::info!("certificate reloaded"),
                Err(error) => {
                    tracing::error!(%error, "certificate not reloaded: the old one stays");
                }
            }
        }
    }

    /// Returns `true` if the files have a new certificate. The same bad content is reported once.
    fn reread(&mut self) -> Result<bool, ConfigError> {
        let now = (read(CERT, &self.files.cert), read(KEY, &self.files.key));
        let (cert, key) = match now {
            (Ok(cert), Ok(key)) => (cert, key),
            // An unreadable file counts as empty content, so that it is reported once too.
            (Err(error), _) | (_, Err(error)) => {
                let is_new = self.seen != Default::default();
                self.seen = Default::default();
                return if is_new { Err(error) } else { Ok(false) };
            }
        };
        if (&cert, &key) == (&self.seen.0, &self.seen.1) {
            return Ok(false);
        }
        self.seen = (cert, key);
        self.current.0.store(Arc::new(parse(&self.files, &self.seen)?));
        Ok(true)
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path)
        .map_err(|error| ConfigError::new(setting, format!("{}: {error}", path.display())))
}

/// Parses the files. An error holds no part of the key.
fn parse(files: &TlsFiles, (cert, key): &(Vec<u8>, Vec<u8>)) -> Result<CertifiedKey, ConfigError> {
    let fail = |setting, path: &Path, problem: &dyn std::fmt::Display| {
        ConfigError::new(setting, format!("{}: {problem}", path.display()))
    };
    let certificates = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| fail(CERT, &files.cert, &error))?;
    if certificates.is_empty() {
        return Err(fail(CERT, &files.cert, &"holds no certificate (PEM)"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| fail(KEY, &files.key, &"holds no private key (PEM)"))?;
    CertifiedKey::from_der(certificates, key, &default_provider())
        .map_err(|error| fail(KEY, &files.key, &error))
}
