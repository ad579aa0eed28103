//! A replica in a process of its own, which a test can freeze.

use std::process::{Command, Stdio};

use caracal_revocation::Follower;
use caracal_revocation::wire::{Key, KeyRing};
use caracal_test_support::child_guard::{KillOnExit, signal};

use crate::program::{KEY, at};
use crate::redis_server::{RedisServer, settings};

/// The variable that holds the address of Redis and the name of the replica.
const CHILD: &str = "CARACAL_TEST_REPLICA";

/// A follower that writes receipts.
pub(crate) struct Replica(KillOnExit);

impl Replica {
    /// Starts a replica with this name, and waits for its receipt.
    pub(crate) fn start(server: &RedisServer, name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "replica_process::replica_child_process", "--nocapture"]);
        command.env(CHILD, format!("{} {name}", server.url()));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let replica = Self(KillOnExit::spawn(&mut command).unwrap());
        caracal_test_support::terminal::eventually("the replica is ready", || {
            at(server).run("fleet").out.contains(&format!("{name}: ready"))
        });
        replica
    }

    /// Stops the process. It keeps its connections, and does nothing.
    pub(crate) fn freeze(&self) {
        signal(self.0.id(), "-STOP").unwrap();
    }

    /// Continues the process.
    pub(crate) fn thaw(&self) {
        signal(self.0.id(), "-CONT").unwrap();
    }
}

/// The replica itself. Without the variable, this test has nothing to do.
#[test]
fn replica_child_process() {
    let Ok(value) = std::env::var(CHILD) else { return };
    let (url, name) = value.split_once(' ').unwrap();
    let keys = KeyRing::new(Key::from_hex(KEY).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let follower = Follower::new(settings(url, &keys)).with_receipts(name);
    runtime.block_on(follower.run(std::future::pending()));
}
