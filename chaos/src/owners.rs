//! The server that takes the messages of each stream.

use std::net::SocketAddr;

use caracal_revocation::wire::Stream;

/// The owner of each stream. In a cluster it is the master of the stream's slot.
#[derive(Clone, Copy, Debug)]
pub struct Owners([SocketAddr; Stream::ALL.len()]);

impl Owners {
    /// One server owns every stream.
    pub const fn all(server: SocketAddr) -> Self {
        Self([server; Stream::ALL.len()])
    }

    pub fn of(&self, stream: Stream) -> SocketAddr {
        self.0[stream.index()]
    }

    pub fn set(&mut self, stream: Stream, server: SocketAddr) {
        self.0[stream.index()] = server;
    }

    /// Puts one server in the place of another.
    pub fn replace(&mut self, old: SocketAddr, new: SocketAddr) {
        for server in self.0.iter_mut().filter(|server| **server == old) {
            *server = new;
        }
    }
}
