//! One drill: checks, publishes, and watches the receipts.

use std::time::Duration;

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::MessageBuilder;
use caracal_revocation_stream::{InspectError, Publisher, Receipt, Settings};
use http::Uri;
use tokio::time::{Instant, sleep};

use super::http_client::HttpClient;
use super::observe::{Fleet, Published, Replica};
use super::probe::Probe;
use super::report::{Report, Results};
use super::service;
use super::stage::{NoAnswer, Stage};
use crate::outcome::Failure;
use crate::stream_key;

/// The time between two reads of the receipts.
const EVERY: Duration = Duration::from_millis(50);
/// The time that receipts may take after the bound: a replica writes its receipt up to 100 ms after
/// it applied a message, and tries again after a second.
const RECEIPTS_WITHIN: Duration = Duration::from_secs(1);
/// The beginning of a random anchor, so that operators recognize it.
const PREFIX: &str = "caracal-drill-";

const NO_RECEIPTS: &str = "no replica writes receipts, so a drill cannot show who applied it; \
    nothing was published; give each follower a name (Follower::with_receipts), or pass --probe \
    URL; if replicas should be there, pass --replicas N";

/// The parts of a drill.
pub(super) struct Plan<'p> {
    pub(super) settings: &'p Settings,
    pub(super) within: Duration,
    /// The minimum number of replicas, if the operator named it.
    pub(super) replicas: Option<usize>,
    pub(super) services: &'p [Uri],
    pub(super) zone: &'p str,
    pub(super) probe: Option<Probe>,
    pub(super) client: HttpClient,
}

impl Plan<'_> {
    /// Runs one drill.
    pub(super) async fn run(&self) -> Result<Report, NoAnswer> {
        let connecting = Inspector::connect(self.settings).await;
        let mut inspector = connecting.map_err(Stage::Connect.failed())?;
        let key = stream_key::evidence(&mut inspector, self.settings).await;
        key.map_err(Stage::Connect.failed())?.check("the drill").map_err(Stage::Key.failed())?;
        let before = inspector.receipts().await.map_err(Stage::Connect.failed())?;
        if before.is_empty() && self.replicas.is_none() && self.probe.is_none() {
            return Err(Stage::Present.failed()(Failure::new(NO_RECEIPTS)));
        }
        let publisher = Publisher::connect(self.settings).await;
        let publisher = publisher.map_err(Stage::Published.failed())?;
        let (anchor, message) = self.message().map_err(Stage::Published.failed())?;
        let stream = message.stream();
        let sent = Instant::now();
        let id = publisher.publish(message).await.map_err(Stage::Published.failed())?;
        let published = Published { stream, id, after: sent.elapsed() };
        let expected = self.replicas.unwrap_or(before.len());
        let deadline = sent + self.within + RECEIPTS_WITHIN;
        let probing = async {
            let probe = self.probe.as_ref()?;
            Some(probe.until_denied(&self.client, sent, deadline).await)
        };
        let watching = async {
            let fleet = Fleet::new(&before, published);
            self.watch(inspector, fleet, expected, sent, deadline).await
        };
        let (replicas, probe) = tokio::join!(watching, probing);
        let results = Results {
            message: format!("{stream}/{id}"),
            anchor,
            published: published.after,
            expected,
            replicas: replicas?,
            services: service::ask_all(&self.client, self.services).await,
            probe,
        };
        Ok(Report::of(results, self.within))
    }

    /// Reads the receipts until all expected replicas have applied the message, at most until the
    /// deadline. Survives an interruption of Redis that ends before.
    async fn watch(
        &self,
        inspector: Inspector,
        mut fleet: Fleet,
        expected: usize,
        sent: Instant,
        deadline: Instant,
    ) -> Result<Vec<Replica>, NoAnswer> {
        let mut connected = Some(inspector);
        loop {
            let read = self.read(&mut connected).await;
            let is_over = Instant::now() >= deadline;
            match read {
                Ok(receipts) => {
                    fleet.observe(&receipts, sent.elapsed());
                    if is_over || fleet.is_settled(expected) {
                        return Ok(fleet.into_replicas());
                    }
                }
                Err(error) if is_over => {
                    let failure = Failure::from(error);
                    return Err(Stage::Connect.failed()(Failure::new(format!(
                        "the message was published, and its receipts cannot be read: {failure}"
                    ))));
                }
                Err(_) => {}
            }
            sleep(EVERY).await;
        }
    }

    /// Reads the receipts. After an error, the next call connects again.
    async fn read(&self, connected: &mut Option<Inspector>) -> Result<Vec<Receipt>, InspectError> {
        let mut inspector = match connected.take() {
            Some(inspector) => inspector,
            None => Inspector::connect(self.settings).await?,
        };
        let receipts = inspector.receipts().await?;
        *connected = Some(inspector);
        Ok(receipts)
    }

    /// Returns the anchor to revoke, and the message that revokes it.
    fn message(&self) -> Result<(String, MessageBuilder), Failure> {
        if let Some(probe) = &self.probe {
            return Ok((probe.anchor().to_owned(), probe.message()));
        }
        let random = random().map_err(|error| Failure::new(format!("no randomness: {error}")))?;
        let anchor = format!("{PREFIX}{random:032x}");
        let message = MessageBuilder::revoke(self.zone, "drill").session(&anchor);
        Ok((anchor, message))
    }
}

fn random() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_be_bytes(bytes))
}
