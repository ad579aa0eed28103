//! The address of a server.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo};

/// The host and port that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

impl Address {
    /// Returns `template` with this address: its login and certificates stay.
    pub(crate) fn of(&self, template: &ConnectionInfo) -> ConnectionInfo {
        let (host, port) = (self.host.to_string(), self.port);
        let address = match template.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        template.clone().set_addr(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
