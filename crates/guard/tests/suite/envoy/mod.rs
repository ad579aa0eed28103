//! Envoy, with the configuration of `docs/proxies/envoy.md`.

mod answers;
mod check;
mod client;
mod cut_outages;
mod cuts;
mod http2;
mod process;
mod running;
mod setup;
