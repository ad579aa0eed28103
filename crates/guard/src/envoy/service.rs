//! Both services on one listener.

use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;

use super::drain::Drain;
use super::ext_authz::ExtAuthz;
use super::ext_proc::ExtProc;
use crate::decider::Decider;
use crate::routes::Routes;
use crate::server::Shutdown;

/// The services that Envoy asks.
#[derive(Clone)]
pub(crate) struct Envoy {
    ext_authz: ExtAuthz,
    ext_proc: ExtProc,
}

impl Envoy {
    /// Creates the services. `drain` is the time that streams have after the shutdown.
    pub(crate) fn new(
        routes: &Routes,
        timeout_from_exp: bool,
        drain: Duration,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            ext_authz: ExtAuthz { decider: Decider::new("ext_authz", routes), timeout_from_exp },
            ext_proc: ExtProc {
                decider: Decider::new("ext_proc", routes),
                drain: Drain::new(shutdown, drain),
            },
        }
    }

    /// Decides by these routes from here on. Requests that run keep the old ones.
    pub(crate) fn reload(&self, routes: &Routes) {
        self.ext_authz.decider.reload(routes);
        self.ext_proc.decider.reload(routes);
    }

    /// Returns the services for a listener.
    pub(crate) fn serve(&self) -> tonic::service::Routes {
        tonic::service::Routes::new(AuthorizationServer::new(self.ext_authz.clone()))
            .add_service(ExternalProcessorServer::new(self.ext_proc.clone()))
            .prepare()
    }
}
