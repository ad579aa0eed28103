//! The options for cutting running requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::{Checks, CutPolicy, CutReport, Revocations};

use crate::log;
use crate::metrics::CutCounters;

/// The options of a layer for cutting running requests.
///
/// By default a request is cut when a new request on the same token would be denied, and 60 seconds
/// after the token's `exp`. The crate's documentation has a table of how each kind of request ends.
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
    /// `true` if HTTP/1.0 clients get responses without a length too.
    pub(crate) http10_streams: bool,
    on_cut: Option<OnCut>,
}

/// The clients that get the trailer, among those that sent `TE: trailers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailer {
    /// The clients whose request has no sign of a proxy.
    Direct,
    Always,
    Never,
}

type OnCut = Arc<dyn Fn(&CutReport<'_>) + Send + Sync>;

impl CutOptions {
    /// Creates the default options.
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

    /// Sets the time between `exp` and the cut, in whole seconds. The default is 60, the leeway of
    /// the token check.
    pub const fn exp_grace(mut self, grace: Duration) -> Self {
        self.exp_grace = Some(grace);
        self
    }

    /// Cuts running requests once the state has been unknown for longer than the staleness bound,
    /// when new requests are answered 503. By default they go on until their authority is known to
    /// be revoked, or until `exp`.
    pub const fn when_unknown(mut self) -> Self {
        self.when_unknown = true;
        self
    }

    /// Breaks off every cut response, even for a client that sent `TE: trailers`.
    ///
    /// Choose it behind a proxy or a layer that passes `TE` on, drops trailers, and adds no
    /// `Via`, `Forwarded` or `X-Forwarded-…` to the request. There, a clean end without the trailer
    /// would look like the end of a complete response. gRPC always has trailers, and is not
    /// affected.
    pub const fn without_trailer(mut self) -> Self {
        self.trailer = Trailer::Never;
        self
    }

    /// Ends cut responses with the trailer even for a client behind a proxy.
    ///
    /// By default the response to a request with `Via`, `Forwarded` or `X-Forwarded-…` is broken
    /// off, even with `TE: trailers`: some proxies, such as Envoy, pass `TE` on and drop the
    /// trailer. Choose this option only if every proxy on the way forwards trailers, as Envoy does
    /// with `enable_trailers`.
    pub const fn trailer_through_proxies(mut self) -> Self {
        self.trailer = Trailer::Always;
        self
    }

    /// Calls `hook` once for each request that was cut. The hook must not block: it runs in the
    /// task that polls the request.
    pub fn on_cut(mut self, hook: impl Fn(&CutReport<'_>) + Send + Sync + 'static) -> Self {
        self.on_cut = Some(Arc::new(hook));
        self
    }

    /// Lets handlers run to their end after their authority has ended. Their answers are still
    /// withheld, and bodies are still cut.
    pub const fn insecure_let_handlers_finish(mut self) -> Self {
        self.finish_handlers = true;
        self
    }

    /// Streams responses without a length to HTTP/1.0 clients too. Such a client cannot distinguish
    /// a cut from the end of the response, and may treat the first part of a file as the whole.
    pub const fn insecure_stream_to_http10(mut self) -> Self {
        self.http10_streams = true;
        self
    }

    /// Cuts nothing: an admitted request runs until it ends by itself.
    pub const fn insecure_disabled(mut self) -> Self {
        self.nothing = true;
        self
    }

    /// Returns the cut policy for the requests of a layer with these checks, or `None` if it cuts
    /// nothing.
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
