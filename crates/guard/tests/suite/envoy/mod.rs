//! Envoy, with the configuration of `docs/proxies/envoy.md`.

mod answers;
mod cuts;
mod grpc;
mod http2;
mod setup;
