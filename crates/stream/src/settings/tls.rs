//! Certificates for `rediss://`: trusted authorities, and the client certificate.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use super::error::{Problem, SettingsError};
use crate::certificates::{self, CertificateError};
use crate::connection::install_crypto;
use crate::wire::Certificates;

const CA: &str = "REDIS_TLS_CA_FILE";
const CERT: &str = "REDIS_TLS_CERT_FILE";
const KEY: &str = "REDIS_TLS_KEY_FILE";

/// Returns the server that `setting` names, with the certificates from the settings.
pub(super) fn with_certificates(
    server: ConnectionInfo,
    setting: &'static str,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<ConnectionInfo, SettingsError> {
    let Some(Pem { first, root_cert, client_tls }) = pem(lookup)? else { return Ok(server) };
    if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        return Err(SettingsError::new(first, Problem::NeedsTls(setting)));
    }
    from_pem(root_cert.as_deref(), client_tls.as_ref())?;
    install_crypto();
    Client::build_with_tls(server, TlsCertificates { client_tls, root_cert })
        .map(|client| client.get_connection_info().clone())
        // The error of the redis crate is dropped, because it might quote a key.
        .map_err(|_| SettingsError::new(first, Problem::NotPem))
}

/// Returns the certificates for the connection that reads the streams.
pub(super) fn certificates(
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Certificates, SettingsError> {
    let Some(Pem { root_cert, client_tls, .. }) = pem(lookup)? else {
        return Ok(Certificates::default());
    };
    from_pem(root_cert.as_deref(), client_tls.as_ref())
}

/// Parses the content of these files. An error names the setting of the invalid file.
fn from_pem(
    root: Option<&[u8]>,
    own: Option<&ClientTlsConfig>,
) -> Result<Certificates, SettingsError> {
    let own = own.map(|tls| (&*tls.client_cert, &*tls.client_key));
    let config = certificates::from_pem(root, own).map_err(|error| match error {
        CertificateError::Root => SettingsError::new(CA, Problem::NotPem),
        CertificateError::NoneInTheSystem => SettingsError::new(CA, Problem::NoAuthority),
        CertificateError::Chain => SettingsError::new(CERT, Problem::NotPem),
        CertificateError::Key => SettingsError::new(KEY, Problem::NotPem),
        CertificateError::NotItsKey => SettingsError::new(KEY, Problem::NotItsKey),
    })?;
    Ok(Certificates { config: Some(config) })
}

/// The contents of the files, and the first setting that names one.
struct Pem {
    first: &'static str,
    root_cert: Option<Vec<u8>>,
    client_tls: Option<ClientTlsConfig>,
}

fn pem(lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<Pem>, SettingsError> {
    let (root_cert, cert, key) = (read(lookup, CA)?, read(lookup, CERT)?, read(lookup, KEY)?);
    let Some(first) = [(CA, &root_cert), (CERT, &cert), (KEY, &key)]
        .into_iter()
        .find_map(|(setting, file)| file.as_ref().map(|_| setting))
    else {
        return Ok(None);
    };
    let client_tls = match (cert, key) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        (None, None) => None,
        (Some(_), None) => return Err(SettingsError::new(KEY, Problem::Missing(CERT))),
        (None, Some(_)) => return Err(SettingsError::new(CERT, Problem::Missing(KEY))),
    };
    Ok(Some(Pem { first, root_cert, client_tls }))
}

fn read(
    lookup: &impl Fn(&str) -> Option<String>,
    setting: &'static str,
) -> Result<Option<Vec<u8>>, SettingsError> {
    let Some(path) = lookup(setting) else { return Ok(None) };
    std::fs::read(path.trim())
        .map(Some)
        .map_err(|error| SettingsError::new(setting, Problem::Unreadable(error.kind())))
}
