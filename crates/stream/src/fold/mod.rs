//! Applies readings of the log to the state. No I/O and no clock: the follower passes in each
//! reading, and the time.

mod absorb;
mod freshness;
mod messages;
mod proving;
mod replayed;
mod report;
mod server_identity;
mod state;
mod tallies;
#[cfg(test)]
mod tests;
mod track;

pub(crate) use state::Fold;
