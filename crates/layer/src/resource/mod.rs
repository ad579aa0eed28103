//! The resource layer: verifies the token, decides on it, and checks the requirements of the route.

mod layer;
#[cfg(test)]
mod tests;

pub use layer::ResourceLayer;
