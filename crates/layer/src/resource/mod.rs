//! The resource server: tokens are verified, decided on, and checked for what a route requires.

mod layer;
#[cfg(test)]
mod tests;

pub use layer::ResourceLayer;
