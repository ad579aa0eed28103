//! One connection, for one reading.

use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, Error};

/// Open until it is dropped.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Moves the bytes; ends with this.
    _driver: JoinSet<Result<(), Error>>,
}

/// How connections are made: with TLS where the feature is there and the server offers it, as
/// `sslmode` in the address says.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) struct Connector(tokio_postgres::NoTls);

/// How connections are made: with TLS where the feature is there and the server offers it, as
/// `sslmode` in the address says.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub(crate) struct Connector(tokio_postgres_rustls::MakeRustlsConnect);

impl Connector {
    #[cfg(not(feature = "tls"))]
    pub(crate) const fn new() -> Self {
        Self(tokio_postgres::NoTls)
    }

    /// Believes the certificates of the operating system; where it has none, no server.
    #[cfg(feature = "tls")]
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        use rustls::crypto::aws_lc_rs::default_provider;
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = rustls::ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(tokio_postgres_rustls::MakeRustlsConnect::new(config)))
    }

    pub(crate) async fn open(&self, config: &Config) -> Result<Connection, Error> {
        let (client, connection) = config.connect(self.0.clone()).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Connection { client, _driver: driver })
    }
}
