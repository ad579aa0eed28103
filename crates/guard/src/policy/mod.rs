//! Policies of routes: Rego from a folder, evaluated in this process or on an OPA server.

mod folder;
mod input;
mod policies;

pub(crate) use policies::{Policies, check};
