//! The dashboard's queries about the guard, on a real Prometheus that scrapes a real guard.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::exchange::{body, exchange};
use crate::programs;
use crate::proxy_process::ProxyProcess;
use crate::spoe::client::{Client, FIN, NOTIFY, arguments, frame, message, start};
use crate::world::{World, free_address};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Returns the queries of the row "Guard" as Grafana sends them with everything selected, except
/// those about the profile `gateway`, which this guard does not have.
fn queries() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository("ops/grafana/caracal-revocation.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let guard = panels.skip_while(|panel| panel["title"] != "Guard").skip(1);
    let targets = guard.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| {
        let query = target["expr"].as_str().unwrap().trim_end_matches(" > 0");
        query.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "20s")
    });
    queries.filter(|query| !query.contains("caracal_gateway_denials")).collect()
}

/// Returns the samples of a query now. An invalid query fails the test.
async fn query(prometheus: SocketAddr, query: &str) -> Vec<Value> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("/api/v1/query?query={encoded}");
    // HTTP/1.0, because the body is read as it was sent.
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    let response = exchange(prometheus, request.as_bytes()).await.unwrap();
    let answer: Value = serde_json::from_str(body(&response)).unwrap_or(Value::Null);
    assert_ne!(answer["status"], "error", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Waits until an alert is pending or fires.
async fn alerts(prometheus: SocketAddr, alert: &str) {
    let firing = format!(r#"ALERTS{{alertname="{alert}"}}"#);
    let start = Instant::now();
    while query(prometheus, &firing).await.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "{alert} never fires");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_of_the_guard_have_data() {
    let Some(program) = programs::debian("prometheus", "prometheus") else { return };
    let world = World::start().await;
    let listen = free_address().to_string();
    let proxy = ["--listen", &listen, "--upstream", "http://127.0.0.1:1"];
    let (mut guard, spoe) = start(&world, &proxy).await;
    let address = free_address();
    let rules = repository("ops/prometheus/caracal-revocation.rules.yml");
    let config = json!({
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [{
            "job_name": "guard",
            "static_configs": [{"targets": [guard.operations.to_string()]}],
        }],
    });
    // JSON is valid YAML.
    let files = [("prometheus.yml", &*config.to_string())];
    let listen = format!("--web.listen-address={address}");
    let flags = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
    let _prometheus = ProxyProcess::start(&program, &flags, &files, address).await;

    let mut client = Client::hello(spoe, 16_380).await;
    let mut unanswered: Vec<_> = queries().into_iter().collect();
    assert!(unanswered.len() >= 5, "{unanswered:?}");
    let start = Instant::now();
    while !unanswered.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "without data: {unanswered:#?}");
        client.ask(&arguments(None)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut still = Vec::new();
        for text in unanswered {
            if query(address, &text).await.is_empty() {
                still.push(text);
            }
        }
        unanswered = still;
    }

    client.send(&frame(NOTIFY, FIN, 1, 1, &message("other", &Vec::new()))).await;
    alerts(address, "CaracalGuardSpoeRejected").await;
    guard.signal("STOP");
    alerts(address, "CaracalGuardHung").await;
    guard.kill();
    alerts(address, "CaracalGuardDown").await;
}
