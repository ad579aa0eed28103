//! The STS layer: denies token requests that name revoked authority before the STS reads them.

mod body;
mod form;
mod future;
mod guard;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use body::StsBody;
#[cfg(fuzzing)]
pub use form::read_form;
pub use future::StsFuture;
pub use layer::StsLayer;
pub use service::Sts;
