//! Serves HTTP/1.1 and HTTP/2 on a listener, with limits, until the program stops.

mod activity;
mod connection;
mod serve;
mod shutdown;

pub(crate) use connection::Connection;
pub(crate) use serve::{ACCEPT_PAUSE, serve, serve_tls};
pub(crate) use shutdown::Shutdown;
