//! The gateway: a request's claims are judged before the service behind sees it.

mod body;
mod future;
mod guard;
mod judge;
mod layer;
mod observed;
mod service;
#[cfg(test)]
mod tests;

pub use body::GatewayBody;
pub use future::GatewayFuture;
pub use layer::GatewayLayer;
pub use observed::Observed;
pub use service::Gateway;
