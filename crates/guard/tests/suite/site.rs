//! Everything around a proxy that asks over HTTP.

use std::net::SocketAddr;

use crate::front::ARGUMENTS;
use crate::program::Guard;
use crate::upstream::Upstream;
use crate::world::{World, free_address};

/// A world, an application, and a guard that answers checks.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) upstream: Upstream,
    pub(crate) guard: Guard,
    /// The address at which the guard answers checks.
    pub(crate) check: SocketAddr,
}

impl Site {
    /// Starts all parts. The guard has the routes of the shared cases and these settings.
    pub(crate) async fn start(settings: &[(&'static str, &str)]) -> Self {
        let (world, upstream, check) =
            (World::start().await, Upstream::start().await, free_address());
        let mut environment = world.environment();
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let address = check.to_string();
        let arguments = [&ARGUMENTS[..], &["--check", &address]].concat();
        let guard = Guard::start(&environment, &arguments).await;
        Self { world, upstream, guard, check }
    }
}
