//! Checks for HAProxy, over its protocol SPOP (Stream Processing Offload Protocol 2.0).
//!
//! HAProxy describes a request in a NOTIFY frame with the message `check-token`, and waits for an
//! ACK frame with variables. Its configuration denies every request for which the variable `status`
//! is not 200, so that an error, a timeout or a closed connection denies the request.

mod agent;
mod answer;
mod codec;
mod frames;
mod listener;
mod message;
mod rejected;

#[cfg(test)]
mod tests;

pub(crate) use agent::Agent;
pub(crate) use listener::serve;
