//! A clock that goes on over a restart of this process, and that nobody sets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which start of the machine this is, and how long ago that was, sleep included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) id: String,
    pub(crate) up: Duration,
}

impl Boot {
    /// None where the operating system does not tell.
    pub(crate) fn now() -> Option<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let up = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = up.split_ascii_whitespace().next()?.parse().ok()?;
        let up = Duration::try_from_secs_f64(seconds).ok()?;
        Some(Self { id: id.trim().to_owned(), up })
    }

    /// How long after `earlier` this is, if the machine was not restarted in between. None where
    /// the uptime went back: a container's own, or a machine restored from an image.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Duration> {
        if self.id != earlier.id {
            return None;
        }
        self.up.checked_sub(earlier.up)
    }
}
