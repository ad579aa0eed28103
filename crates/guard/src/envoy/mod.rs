//! Answers Envoy's external authorization (ext_authz) and external processing (ext_proc), both over
//! gRPC.
//!
//! ext_authz asks once about each request. ext_proc keeps a stream open as long as the request runs,
//! so that a revocation also cuts the response.

mod answer;
mod drain;
mod ext_authz;
mod ext_proc;
mod hold;
mod never_ok;
mod question;
mod service;
mod session;

pub(crate) use service::Envoy;
