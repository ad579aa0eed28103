//! SPOE without HAProxy: every byte of the protocol is the test's own.

pub(crate) mod client;
mod messages;
mod mutations;
mod protocol;
