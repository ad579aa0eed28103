//! A Prometheus exporter for a service that has none.

use std::sync::mpsc::{self, RecvTimeoutError};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::limits::HISTOGRAM_UPKEEP;
use crate::metrics::LAG_BUCKETS;

/// Renders all metrics of the [`metrics`] facade, including those of the service itself.
///
/// ```no_run
/// use caracal_revocation_layer::{Exporter, Operations};
/// # use caracal_revocation_state::{Options, RevocationsWriter};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let exporter = Exporter::install()?; // first: what is registered earlier is lost
/// # let revocations = RevocationsWriter::new(Options::default()).reader();
/// let operations = Operations::new(revocations).with_metrics(move || exporter.render());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

/// The exporter cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The process already has a recorder: render the metrics of that one.
    #[error("this process already has a metrics recorder")]
    Installed,
    /// The thread that keeps histograms small cannot be started.
    #[error("the thread for the upkeep of histograms cannot be started: {0}")]
    Upkeep(std::io::Error),
    /// An error of the exporter itself.
    #[error(transparent)]
    Build(BuildError),
}

impl Exporter {
    /// Installs a Prometheus recorder for this process. Every histogram has the buckets
    /// [`LAG_BUCKETS`].
    ///
    /// # Errors
    ///
    /// [`ExporterError`] if the process has a recorder, or can start no more threads.
    pub fn install() -> Result<Self, ExporterError> {
        let builder = PrometheusBuilder::new().set_buckets(&LAG_BUCKETS);
        let recorder = builder.map_err(ExporterError::Build)?.build_recorder();
        let handle = recorder.handle();
        // The upkeep starts first: without it, an installed recorder would grow.
        let installed = start_upkeep(handle.clone()).map_err(ExporterError::Upkeep)?;
        metrics::set_global_recorder(recorder).map_err(|_| ExporterError::Installed)?;
        installed.detach();
        Ok(Self(handle))
    }

    /// Returns all recorded metrics, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// The handle of the upkeep thread, which stops if this is dropped.
struct Upkeep(mpsc::Sender<()>);

impl Upkeep {
    /// Lets the upkeep run until the process ends, as the recorder does.
    fn detach(self) {
        std::mem::forget(self.0);
    }
}

/// Starts the thread that empties the buffers of histograms, which otherwise grow until the next
/// rendering. A thread needs no runtime, and a blocked runtime does not stop it.
fn start_upkeep(handle: PrometheusHandle) -> std::io::Result<Upkeep> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::Builder::new().name("caracal-metrics".into()).spawn(move || {
        while stopped.recv_timeout(HISTOGRAM_UPKEEP) == Err(RecvTimeoutError::Timeout) {
            handle.run_upkeep();
        }
    })?;
    Ok(Upkeep(stop))
}
