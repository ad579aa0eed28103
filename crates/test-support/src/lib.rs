//! Servers, issuers, waiting and figures that tests, benches, examples and fault injection share.
//!
//! It is not published. Each part that needs large dependencies is behind a feature.
