//! Trusted authorities and the client certificate of `rediss://`.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, RootCertStore};

use crate::connection::install_crypto;

/// The error of a certificate or key. It never contains its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the system has no trusted CA certificates")]
    NoneInTheSystem,
    #[error("the CA file holds no certificates in PEM format")]
    Root,
    #[error("the client certificate is not in PEM format")]
    Chain,
    #[error("the client key is not in PEM format")]
    Key,
    #[error("the client key does not belong to the client certificate")]
    NotItsKey,
}

/// Returns a configuration that trusts the authorities of the operating system, without a client
/// certificate.
pub(crate) fn of_the_system() -> Result<Arc<ClientConfig>, CertificateError> {
    config(system_roots()?, None)
}

/// Returns a configuration from PEM files. It trusts the authorities in `root`, or those of the
/// operating system. `identity` is the client certificate with its chain, and the key.
pub(crate) fn from_pem(
    root: Option<&[u8]>,
    identity: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, CertificateError> {
    let roots = match root {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem).ok_or(CertificateError::Root)? {
                roots.add(certificate).map_err(|_| CertificateError::Root)?;
            }
            roots
        }
        None => system_roots()?,
    };
    config(roots, identity)
}

fn config(
    roots: RootCertStore,
    identity: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, CertificateError> {
    install_crypto();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain).ok_or(CertificateError::Chain)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
            config.with_client_auth_cert(chain, key).map_err(|error| match error {
                Error::InconsistentKeys(_) => CertificateError::NotItsKey,
                Error::InvalidCertificate(_) => CertificateError::Chain,
                _ => CertificateError::Key,
            })?
        }
    };
    Ok(Arc::new(config))
}

/// Parses certificates in PEM format. Returns `None` without any, or if one is invalid.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

fn system_roots() -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    // An authority that cannot be parsed is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(CertificateError::NoneInTheSystem) } else { Ok(roots) }
}
