//! The metrics of this crate. Their names are in `names.rs`.

mod follower;
mod handles;
mod names;
mod single_use;

pub(crate) use follower::StreamMetrics;
pub(crate) use handles::{
    canaries_lost, canary_age, canary_lag, dead_letters_lost, dead_letters_written, reload_errors,
    reloads,
};
pub(crate) use names::describe_canary;
pub(crate) use single_use::UseCounters;
