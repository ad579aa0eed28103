//! The resource server: tokens are verified, judged, and asked for what a route requires.

mod layer;
#[cfg(test)]
mod tests;

pub use layer::ResourceLayer;
