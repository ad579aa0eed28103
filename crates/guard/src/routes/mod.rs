//! Routes: which requirements apply to a request, by its path and method.

mod pattern;
mod routed;
mod rules;

pub(crate) use pattern::RoutePattern;
pub(crate) use routed::{GuardBody, Routed, Routes};
pub(crate) use rules::{Profile, RouteRules, Shared, SingleUseRecord};
