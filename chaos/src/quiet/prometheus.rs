//! A real Prometheus with the project's alerts. It scrapes one service.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use caracal_test_support::child_guard::KillOnExit;
use caracal_test_support::ports::free_port;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::alerts::Seen;
use crate::failure::Failure;

const EVERY: Duration = Duration::from_secs(5);
/// The most samples of one series that Prometheus returns.
const MOST_SAMPLES: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A Prometheus process that ends when it is dropped, and when this program ends.
pub struct Prometheus {
    address: String,
    _folder: TempDir,
    _process: KillOnExit,
}

impl Prometheus {
    pub fn start(service: SocketAddr, rules: &Path) -> Result<Self, Failure> {
        let rules =
            rules.canonicalize().map_err(|error| format!("{}: {error}", rules.display()))?;
        let folder = TempDir::with_prefix("chaos-prometheus-")?;
        let every = format!("{}s", EVERY.as_secs());
        let config = json!({
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "gateway",
                "static_configs": [{"targets": [service.to_string()]}],
            }],
        });
        // Every JSON text is also valid YAML.
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string())?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = KillOnExit::spawn(&mut command).map_err(|error| {
            format!("prometheus cannot be run (on Debian: apt-get install prometheus): {error}")
        })?;
        Ok(Self { address, _folder: folder, _process: process })
    }

    /// Returns every alert that was pending or firing since the start, in the order of time.
    pub async fn alerts(&self, start: Instant) -> Result<Vec<Seen>, Failure> {
        let now = unix_now()?;
        let begun = now.saturating_sub(start.elapsed());
        let step = EVERY.max(start.elapsed() / MOST_SAMPLES).as_secs();
        let range = format!("start={}&end={}&step={step}", begun.as_secs(), now.as_secs());
        let found = self.query(&format!("query_range?query=ALERTS&{range}")).await?;
        let mut seen = Vec::new();
        for series in found {
            let label = |name| series["metric"][name].as_str().map(ToOwned::to_owned);
            let cause = label("cause").or_else(|| label("reason"));
            for sample in series["values"].as_array().into_iter().flatten() {
                let at = Duration::from_secs_f64(sample[0].as_f64().unwrap_or_default());
                seen.push(Seen {
                    at: at.saturating_sub(begun),
                    name: label("alertname").unwrap_or_default(),
                    cause: cause.clone(),
                    is_firing: label("alertstate").as_deref() == Some("firing"),
                });
            }
        }
        seen.sort_by_key(|alert| alert.at);
        Ok(seen)
    }

    /// Returns the newest value of a series.
    pub async fn value(&self, series: &str) -> Result<Option<f64>, Failure> {
        let found = self.query(&format!("query?query={series}")).await?;
        let value = found.first().and_then(|series| series["value"][1].as_str());
        Ok(value.and_then(|value| value.parse().ok()))
    }

    async fn query(&self, query: &str) -> Result<Vec<Value>, Failure> {
        let (_, mut body) = get(&format!("http://{}/api/v1/{query}", self.address)).await?;
        match body["data"]["result"].take() {
            Value::Array(found) => Ok(found),
            _ => Err(format!("Prometheus answers {query} with {body}").into()),
        }
    }
}

/// Returns the status, and the body as JSON.
pub async fn get(url: &str) -> Result<(StatusCode, Value), Failure> {
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Empty::new())?;
    let answer = async {
        let (head, body) = client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, Failure>((head.status, serde_json::from_slice(&body).unwrap_or_default()))
    };
    tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| format!("{url} does not answer"))?
}

fn unix_now() -> Result<Duration, Failure> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}
