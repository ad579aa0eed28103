//! The gateway: a request's claims are decided on before the service behind sees it.

mod layer;
#[cfg(test)]
pub(crate) mod tests;

pub use layer::GatewayLayer;
