//! Certificates for `rediss://`: authorities of one's own, and what this side shows.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use super::{Problem, SettingsError};
use crate::connection::install_crypto;

const CA: &str = "REDIS_TLS_CA_FILE";
const CERT: &str = "REDIS_TLS_CERT_FILE";
const KEY: &str = "REDIS_TLS_KEY_FILE";

/// The same server, with the certificates that the settings name.
pub(super) fn with_certificates(
    server: ConnectionInfo,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<ConnectionInfo, SettingsError> {
    let (root_cert, cert, key) = (read(lookup, CA)?, read(lookup, CERT)?, read(lookup, KEY)?);
    let Some(first) = [(CA, &root_cert), (CERT, &cert), (KEY, &key)]
        .into_iter()
        .find_map(|(setting, file)| file.as_ref().map(|_| setting))
    else {
        return Ok(server);
    };
    if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        return Err(SettingsError::new(first, Problem::NeedsTls));
    }
    let client_tls = match (cert, key) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        (None, None) => None,
        (Some(_), None) => return Err(SettingsError::new(KEY, Problem::Missing(CERT))),
        (None, Some(_)) => return Err(SettingsError::new(CERT, Problem::Missing(KEY))),
    };
    install_crypto();
    Client::build_with_tls(server, TlsCertificates { client_tls, root_cert })
        .map(|client| client.get_connection_info().clone())
        // The error of the redis crate is left out: it might quote a key.
        .map_err(|_| SettingsError::new(first, Problem::NotPem))
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
