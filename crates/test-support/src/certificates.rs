//! A private certificate authority for tests, and certificates that it signs.

use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};

/// A private certificate authority, such as companies have.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Creates an authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("good parameters"))
    }

    /// Returns its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate for this host. The common name must differ from the authority's: with
    /// equal names, a client takes the certificate for the authority's own.
    pub fn certificate(&self, host: &str, common_name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host name");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.0).expect("good parameters");
        (certificate, key)
    }
}

/// Writes `ca.pem`, and `<name>.pem` and `<name>.key` for each name. The host is `localhost`.
pub fn certificates(folder: &Path, names: &[&str]) {
    let authority = Authority::new("authority");
    let write = |name: String, text: String| {
        std::fs::write(folder.join(name), text).expect("the folder can be written to");
    };
    write("ca.pem".to_owned(), authority.pem());
    for name in names {
        let (certificate, key) = authority.certificate("localhost", name);
        write(format!("{name}.pem"), certificate.pem());
        write(format!("{name}.key"), key.serialize_pem());
    }
}
