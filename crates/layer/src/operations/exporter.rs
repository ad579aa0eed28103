//! A Prometheus exporter for a service that has none.

use std::sync::mpsc::{self, RecvTimeoutError};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::limits::HISTOGRAM_UPKEEP;
use crate::metrics::LAG_BUCKETS;

/// Renders what was recorded through the [`metrics`] facade, ours and the service's own alike.
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

/// Why metrics are not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// This process has a recorder already: render that one.
    #[error("a metrics recorder is installed already")]
    Installed,
    /// The thread that keeps histograms small cannot be started.
    #[error("no thread for the upkeep of histograms: {0}")]
    Upkeep(std::io::Error),
    /// What the exporter itself says.
    #[error(transparent)]
    Build(BuildError),
}

impl Exporter {
    /// Makes this process's recorder a Prometheus one, with every histogram in
    /// [`LAG_BUCKETS`].
    ///
    /// # Errors
    ///
    /// [`ExporterError`] when the process has a recorder, or can start no more threads.
    pub fn install() -> Result<Self, ExporterError> {
        let builder = PrometheusBuilder::new().set_buckets(&LAG_BUCKETS);
        let recorder = builder.map_err(ExporterError::Build)?.build_recorder();
        let handle = recorder.handle();
        // Begun before, so that nothing is installed that nobody keeps small.
        let installed = keep_small(handle.clone()).map_err(ExporterError::Upkeep)?;
        metrics::set_global_recorder(recorder).map_err(|_| ExporterError::Installed)?;
        installed.keep();
        Ok(Self(handle))
    }

    /// Everything recorded, in Prometheus' text format.
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

/// The upkeep's other end: it stops if this is dropped.
struct Upkeep(mpsc::Sender<()>);

impl Upkeep {
    /// Goes on for as long as the process does, as the recorder does.
    fn keep(self) {
        std::mem::forget(self.0);
    }
}

/// Histograms buffer every value until somebody renders or asks for upkeep. On a thread, and not
/// a task: no runtime is needed, and a blocked one does no harm.
fn keep_small(handle: PrometheusHandle) -> std::io::Result<Upkeep> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::Builder::new().name("caracal-metrics".into()).spawn(move || {
        while stopped.recv_timeout(HISTOGRAM_UPKEEP) == Err(RecvTimeoutError::Timeout) {
            handle.run_upkeep();
        }
    })?;
    Ok(Upkeep(stop))
}
