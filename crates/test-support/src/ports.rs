//! Ports for servers that cannot choose one themselves.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Returns a port of this machine that is free now. Another process may take it before its use.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
