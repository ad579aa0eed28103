//! HTTP checks: other proxies ask about a request, and act on the status.
//!
//! A proxy asks in one of two ways:
//!
//! 1. at `/check`, with the original method and URI in `X-Forwarded-Method` and `X-Forwarded-Uri`
//!    (nginx, Caddy, Traefik, APISIX, HAProxy with Lua);
//! 2. at `/check` followed by the original path, with the original method (Envoy).
//!
//! `/check/nginx` is the first way for nginx, which knows only the statuses 200, 401 and 403. An
//! application's path `/nginx` can therefore not be asked about in the second way.

mod answer;
mod original;
mod service;

pub(crate) use service::Checks;
