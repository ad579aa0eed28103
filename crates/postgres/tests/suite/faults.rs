//! Faults of a server other than `kill -9`.

use std::process::Command;

use crate::server::PostgresServer;

impl PostgresServer {
    /// Makes the next start that of a standby, which waits for a primary.
    pub(crate) fn become_standby(&self) {
        let signal = self.folder.path().join("data/standby.signal");
        std::fs::write(signal, "").expect("the folder can be written to");
    }

    /// Stops the server: it accepts connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }
}
