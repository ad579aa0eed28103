//! Ports for servers that cannot choose one themselves.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The ports to choose from. They are below the range from which Linux takes the port of an outgoing
/// connection, so that no connection of another test takes the port first.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Returns a port of this machine that is free now. Another server may take it before its use.
pub fn free_port() -> io::Result<u16> {
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..100 {
        // The keys of each `RandomState` are new.
        let random = RandomState::new().hash_one(()) % u64::from(COUNT);
        let port = FIRST + u16::try_from(random).unwrap_or_default();
        result = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port);
        if result.is_ok() {
            break;
        }
    }
    result
}
