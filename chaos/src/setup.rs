//! The servers of a schedule.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The servers of a schedule. `--setup` accepts these names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Setup {
    /// A primary and a replica. Only the harness promotes the replica.
    #[default]
    Pair,
    /// A primary and a replica that three sentinels watch.
    Sentinel,
    /// A cluster of three masters, one of them with a replica.
    Cluster,
}

impl Setup {
    /// Returns the name that `--setup` accepts.
    pub fn label(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
