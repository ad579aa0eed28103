//! Ports for servers that cannot choose one themselves.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

/// The ports to choose from. They are below the range from which Linux takes the port of an outgoing
/// connection, so that no connection of another test takes the port first.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// The distance from a port to the UDP port that locks it. No server here listens on those.
const TO_LOCK: u16 = 30_000;

/// The locks of the ports that this process was given. The system frees them when it ends.
static LOCKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// Returns a port of this machine on which no server listens. It is returned to no other caller, in
/// this process or another, until this process has ended.
pub fn free_port() -> io::Result<u16> {
    for _ in 0..100 {
        // The keys of each `RandomState` are new.
        let random = RandomState::new().hash_one(()) % u64::from(COUNT);
        let port = FIRST + u16::try_from(random).unwrap_or_default();
        if lock(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Locks a port. Returns `false` if another caller has locked it.
fn lock(port: u16) -> bool {
    let lock = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + TO_LOCK));
    lock.map(|lock| LOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(lock)).is_ok()
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
