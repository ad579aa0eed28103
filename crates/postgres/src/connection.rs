//! A Postgres connection that serves one baseline read.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::{Client, Error};

use crate::settings::{PostgresError, Settings};

/// The time that a dropped connection has to close in order before it is cut.
const CLOSING: Duration = Duration::from_secs(5);

/// A connection that closes in order when it is dropped: the open transaction is rolled back
/// and Terminate is sent. A connection pooler can then reuse its own connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Signals the connection's task when this value is dropped.
    _open: oneshot::Sender<Infallible>,
}

/// Opens connections. Uses TLS if the feature is on and the server offers it, as `sslmode` in
/// the address demands.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) struct Connector(tokio_postgres::NoTls);

/// Opens connections. Uses TLS if the feature is on and the server offers it, as `sslmode` in
/// the address demands.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub(crate) struct Connector(tokio_postgres_rustls::MakeRustlsConnect);

impl Connector {
    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unnecessary_wraps, reason = "with TLS there are errors")]
    pub(crate) const fn new(_: &Settings) -> Result<Self, PostgresError> {
        Ok(Self(tokio_postgres::NoTls))
    }

    /// Trusts the authorities that the settings name, or else those of the operating system. If
    /// the system has none, no server is trusted.
    #[cfg(feature = "tls")]
    pub(crate) fn new(settings: &Settings) -> Result<Self, PostgresError> {
        use crate::settings::{Problem, URL};
        use rustls::crypto::aws_lc_rs::default_provider;
        let roots = match &settings.authorities {
            Some(named) => roots(&named.pem)
                .ok_or_else(|| PostgresError::new(named.setting, Problem::NotPem))?,
            None => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            }
        };
        let config = rustls::ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|_| PostgresError::new(URL, Problem::Tls))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(tokio_postgres_rustls::MakeRustlsConnect::new(config)))
    }

    #[cfg_attr(
        not(feature = "tls"),
        allow(clippy::clone_on_copy, reason = "with TLS it is not Copy")
    )]
    pub(crate) async fn open(&self, settings: &Settings) -> Result<Connection, Error> {
        let (client, connection) = settings.config.connect(self.0.clone()).await?;
        let (open, dropped) = oneshot::channel::<Infallible>();
        // A separate task: it outlives the read, which a deadline may end at any point.
        tokio::spawn(async move {
            tokio::select! {
                // Ends after Terminate, or with an error that the read reports.
                _ = connection => {}
                () = async {
                    let _ = dropped.await;
                    tokio::time::sleep(CLOSING).await;
                } => {}
            }
        });
        Ok(Connection { client, _open: open })
    }
}

/// Parses PEM certificates. Returns `None` without any, or with one that cannot be read.
#[cfg(feature = "tls")]
fn roots(pem: &[u8]) -> Option<rustls::RootCertStore> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}
