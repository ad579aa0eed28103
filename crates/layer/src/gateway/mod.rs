//! The gateway layer: decides on the claims of a request before the service sees the request.

mod layer;
#[cfg(test)]
pub(crate) mod tests;

pub use layer::GatewayLayer;
