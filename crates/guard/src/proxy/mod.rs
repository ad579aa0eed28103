//! The guard's own reverse proxy: HTTP/1.1 and HTTP/2 in, one service behind.

mod connector;
mod error;
mod failures;
mod forward;
mod forwarded;
mod frames;
mod front;
mod hop_by_hop;
mod http2;
mod message;
mod prepare;
mod tls;
mod tunnel;
mod upgrade;
mod upload;
mod upstream;

pub(crate) use front::Proxy;
pub(crate) use tls::Certificate;
