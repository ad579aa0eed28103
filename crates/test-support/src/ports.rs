//! Ports for servers that cannot choose one themselves.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

/// The ports to choose from. They are below the range from which Linux takes the port of an outgoing
/// connection, so that no connection of another test takes the port first.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A Unix socket for each port that this process was given. Its name belongs to one process, until
/// that ends.
static LOCKS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// Returns a port of this machine on which no server listens. It is returned to no other caller, in
/// this process or another, until this process has ended.
pub fn free_port() -> io::Result<u16> {
    for _ in 0..100 {
        // The keys of each `RandomState` are new.
        let random = RandomState::new().hash_one(()) % u64::from(COUNT);
        let port = FIRST + u16::try_from(random).unwrap_or_default();
        if lock(port)? && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Takes the name that belongs to a port. Returns `false` if another caller has it.
fn lock(port: u16) -> io::Result<bool> {
    let name = SocketAddr::from_abstract_name(format!("caracal-test-port-{port}"))?;
    let Ok(lock) = UnixListener::bind_addr(&name) else { return Ok(false) };
    LOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::free_port;

    #[test]
    fn gives_each_port_once() {
        // Among 500 of 20,000 ports chosen at random, two are equal in 998 of 1,000 runs.
        let ports: HashSet<_> = (0..500).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 500);
    }
}
