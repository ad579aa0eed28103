//! How a layer cuts what is already running.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{Checks, CutPolicy, CutReport, Revocations};

use crate::log;
use crate::metrics::CutCounters;

/// How a layer cuts what is already running, and what it spares.
///
/// By default a request is cut when a new one on the same token would be refused, and 60 seconds
/// after the token's `exp`; the crate's documentation has a table of how each thing ends.
///
/// ```
/// use std::time::Duration;
/// use caracal_revocation_layer::{CutOptions, GatewayLayer};
/// # let revocations = caracal_revocation_state::RevocationsWriter::new(Default::default()).reader();
/// let cutting = CutOptions::new()
///     .exp_grace(Duration::ZERO)
///     .when_unknown()
///     .on_cut(|report| println!("{} cut: {}", report.part.label(), report.cut.label()));
/// let layer = GatewayLayer::new(revocations).with_cutting(cutting);
/// ```
#[derive(Clone)]
#[must_use]
pub struct CutOptions {
    exp_grace: Option<Duration>,
    when_unknown: bool,
    pub(crate) finish_handlers: bool,
    pub(crate) nothing: bool,
    pub(crate) trailer: Trailer,
    /// HTTP/1.0 is sent responses without a length.
    pub(crate) http10_streams: bool,
    on_cut: Option<OnCut>,
}

/// Which of the clients that sent `TE: trailers` get the trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailer {
    /// Those whose request shows no proxy.
    Direct,
    Always,
    Never,
}

type OnCut = Arc<dyn Fn(&CutReport<'_>) + Send + Sync>;

impl CutOptions {
    /// Cuts what has to be, and spares nothing.
    pub const fn new() -> Self {
        Self {
            exp_grace: None,
            when_unknown: false,
            finish_handlers: false,
            nothing: false,
            trailer: Trailer::Direct,
            http10_streams: false,
            on_cut: None,
        }
    }

    /// Cuts so long after `exp`, in whole seconds; 60 by default, the leeway with which tokens
    /// are verified.
    pub const fn exp_grace(mut self, grace: Duration) -> Self {
        self.exp_grace = Some(grace);
        self
    }

    /// Also cuts once the state has been unknown for longer than the staleness bound: when new
    /// requests are answered 503. Without it they run on, until something is known against them
    /// or their `exp`.
    pub const fn when_unknown(mut self) -> Self {
        self.when_unknown = true;
        self
    }

    /// Breaks every response off, also for a client that sent `TE: trailers`.
    ///
    /// Choose it behind a proxy or a layer that passes `TE` on, drops trailers, and adds no
    /// `Via`, `Forwarded` or `X-Forwarded-…` to the request. There the clean end with the trailer
    /// would look like the end of a whole response. gRPC, whose status is a trailer, is not
    /// affected.
    pub const fn without_trailer(mut self) -> Self {
        self.trailer = Trailer::Never;
        self
    }

    /// Ends responses with the trailer for a client behind a proxy too.
    ///
    /// By default a request with `Via`, `Forwarded` or `X-Forwarded-…` breaks off even with
    /// `TE: trailers`: Envoy, for one, passes `TE` on and drops the trailer. Choose it only where
    /// every proxy on the way sends trailers on, as Envoy does with `enable_trailers`.
    pub const fn trailer_through_proxies(mut self) -> Self {
        self.trailer = Trailer::Always;
        self
    }

    /// Calls this once for each request that was cut. It must not block: it is called by whoever
    /// polls the request.
    pub fn on_cut(mut self, hook: impl Fn(&CutReport<'_>) + Send + Sync + 'static) -> Self {
        self.on_cut = Some(Arc::new(hook));
        self
    }

    /// Lets handlers run to their end on authority that has ended. Their answers are withheld
    /// all the same, and bodies cut.
    pub const fn insecure_let_handlers_finish(mut self) -> Self {
        self.finish_handlers = true;
        self
    }

    /// Streams responses without a length to HTTP/1.0 clients too. To such a client a cut looks
    /// like the end of a whole response, so it may keep the first part of a file for all of it.
    pub const fn insecure_stream_to_http10(mut self) -> Self {
        self.http10_streams = true;
        self
    }

    /// Cuts nothing: what was admitted runs on for as long as it likes.
    pub const fn insecure_disabled(mut self) -> Self {
        self.nothing = true;
        self
    }

    /// The watch over the requests of a layer with these checks.
    pub(crate) fn watch(
        &self,
        revocations: &Revocations,
        checks: &Checks,
        counters: CutCounters,
    ) -> Option<Arc<CutPolicy>> {
        if self.nothing {
            return None;
        }
        let mut watch = CutPolicy::new(revocations.clone(), *checks);
        if let Some(grace) = self.exp_grace {
            watch = watch.with_exp_grace(grace);
        }
        if self.when_unknown {
            watch = watch.cut_when_unknown();
        }
        let hook = self.on_cut.clone();
        let watch = watch.on_cut(move |report| {
            counters.cut(report);
            log::cut(report);
            if let Some(hook) = &hook {
                hook(report);
            }
        });
        Some(Arc::new(watch))
    }
}

impl Default for CutOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CutOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CutOptions")
            .field("exp_grace", &self.exp_grace)
            .field("when_unknown", &self.when_unknown)
            .field("finish_handlers", &self.finish_handlers)
            .field("nothing", &self.nothing)
            .field("trailer", &self.trailer)
            .field("http10_streams", &self.http10_streams)
            .finish_non_exhaustive()
    }
}
