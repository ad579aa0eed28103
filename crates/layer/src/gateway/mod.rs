//! The gateway: a request's claims are judged before the service behind sees it.

mod layer;
#[cfg(test)]
mod tests;

pub use layer::GatewayLayer;
