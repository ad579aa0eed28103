//! The files in `ops/`: a redis.conf, alerts and a dashboard, run on the real programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use caracal_test_support::ports::free_port;
use caracal_test_support::terminal::built;
use serde_json::Value;
use tempfile::TempDir;

use crate::live::TIMEOUT;
use crate::operated::{BEARER, Operated, wait_until};
use crate::redis_server::RedisServer;
use crate::service::TestClient;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns `true` if Prometheus is installed. `./test.sh` installs it; without it these tests pass
/// without a check.
fn has_prometheus() -> bool {
    let found = ["prometheus", "promtool"].iter().all(|program| {
        Command::new(program).arg("--version").stderr(Stdio::null()).output().is_ok()
    });
    if !found {
        eprintln!("skipped: prometheus is not installed");
    }
    found
}

/// Checks a scrape with Prometheus' own parser.
pub(crate) fn prometheus_reads(scrape: &str) {
    use std::io::Write;
    if !has_prometheus() {
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    // Exit code 3 only reports metric names that break a convention.
    assert!(output.status.code().is_some_and(|code| code != 1), "{message}");
}

fn alerts() -> BTreeSet<String> {
    let rules = read("ops/prometheus/caracal-revocation.rules.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value =
        serde_json::from_str(&read("ops/grafana/caracal-revocation.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// Returns the queries of a panel as Grafana sends them with everything selected.
fn queries(panel: &Value) -> impl Iterator<Item = String> {
    let targets = panel["targets"].as_array().into_iter().flatten();
    targets.map(|target| {
        // A panel may hide zero values. Remove that filter: here a zero counts as data.
        let query = target["expr"].as_str().unwrap().trim_end_matches(" > 0");
        query.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "20s")
    })
}

/// Returns the series and window of each `increase(SERIES[WINDOW])` in a text.
fn increases(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("increase(").skip(1).map(|rest| {
        let (series, rest) = rest.split_once('[').unwrap();
        (series, rest.split_once(']').unwrap().0)
    })
}

fn promtool_tests(file: &Path) {
    let output = Command::new("promtool").args(["test", "rules"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_alert_fires_on_its_condition_only() {
    if !has_prometheus() {
        return;
    }
    let tests = "ops/prometheus/caracal-revocation.test.yml";
    promtool_tests(&repository(tests));
    let tests = read(tests);
    for alert in alerts() {
        assert_eq!(tests.matches(&format!("alertname: {alert}\n")).count(), 2, "{alert}");
    }
}

#[test]
fn alerts_include_counts_before_the_first_scrape() {
    if !has_prometheus() {
        return;
    }
    let tests = "ops/prometheus/counters.test.yml";
    promtool_tests(&repository(tests));
    let tests = read(tests);
    let rules = read("ops/prometheus/caracal-revocation.rules.yml");
    assert!(!rules.contains("rate("), "a rate misses counts before the first scrape");
    for rule in rules.split("- alert: ").skip(1) {
        let alert = rule.lines().next().unwrap();
        let mut is_on_counter = false;
        for (series, window) in increases(rule) {
            is_on_counter = true;
            let birth = format!("({series} unless {series} offset {window})");
            assert!(rule.contains(&birth), "{alert}: {birth}");
            let name = series.split('{').next().unwrap();
            assert!(tests.contains(&format!("series: '{name}{{")), "{alert}: {name}");
        }
        let is_tested = tests.contains(&format!("alertname=\"{alert}\""));
        assert_eq!(is_tested, is_on_counter, "{alert}");
    }
    for query in panels().iter().flat_map(queries) {
        for (series, window) in increases(&query).filter(|(series, _)| !series.contains("_bucket"))
        {
            assert!(
                query.contains(&format!("({series} unless {series} offset {window})")),
                "{query}"
            );
        }
    }
}

#[test]
fn dashboard_shows_missing_proof_and_missing_horizon() {
    if !has_prometheus() {
        return;
    }
    let panels = panels();
    let panel = |title: &str| panels.iter().find(|panel| panel["title"] == title).unwrap();
    let (staleness, horizon) = (panel("Staleness"), panel("Horizon"));
    let text = |panel: &Value, value: &str| {
        let mappings = &panel["fieldConfig"]["defaults"]["mappings"];
        mappings[0]["options"][value]["text"].as_str().map(str::to_owned)
    };
    assert_eq!(text(staleness, "-1").as_deref(), Some("no proof yet"));
    assert_eq!(text(horizon, "0").as_deref(), Some("none"));

    let sample = |instance: &str, value: f64| {
        let labels = format!(r#"{{instance="{instance}", job="gateway"}}"#);
        serde_json::json!({"labels": labels, "value": value})
    };
    let series = |name: &str, instance: &str, values: &str| {
        let name = format!(
            r#"caracal_revocation_{name}_timestamp_seconds{{instance="{instance}", job="gateway"}}"#
        );
        serde_json::json!({"series": name, "values": values})
    };
    let tests = serde_json::json!({"tests": [{
        "interval": "1m",
        "input_series": [
            series("proven", "new", "0x5"),
            series("proven", "old", "290x5"),
            series("horizon", "whole", "0x5"),
            series("horizon", "holed", "7x5"),
        ],
        "promql_expr_test": [
            {
                "expr": queries(staleness).next(), "eval_time": "5m",
                "exp_samples": [sample("new", -1.0), sample("old", 10.0)],
            },
            {
                "expr": queries(horizon).next(), "eval_time": "5m",
                "exp_samples": [sample("whole", 0.0), sample("holed", 7_000.0)],
            },
        ],
    }]});
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("dashboard.test.yml");
    std::fs::write(&file, tests.to_string()).unwrap();
    promtool_tests(&file);
}

#[test]
fn runbook_has_a_section_for_each_alert() {
    let runbook = read("docs/runbook.md");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<_> =
        headings.filter(|name| name.starts_with("Caracal")).map(str::to_owned).collect();
    assert_eq!(headings, alerts());
}

/// Returns the annotations of each alert, by its name.
fn annotations() -> Vec<(String, Vec<(String, String)>)> {
    let rules = read("ops/prometheus/caracal-revocation.rules.yml");
    let alert = |rule: &str| {
        let name = rule.lines().next().unwrap().to_owned();
        let lines = rule.lines().skip_while(|line| line.trim() != "annotations:").skip(1);
        let lines = lines.map_while(|line| line.strip_prefix("          ")?.split_once(": "));
        let text = |value: &str| value.trim_matches('\'').replace("\'\'", "'");
        (name, lines.map(|(key, value)| (key.to_owned(), text(value))).collect())
    };
    rules.split("- alert: ").skip(1).map(alert).collect()
}

#[test]
fn each_alert_names_impact_first_command_and_its_section() {
    let all = annotations();
    assert_eq!(all.len(), alerts().len());
    for (alert, annotations) in all {
        let keys: Vec<_> = annotations.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["summary", "impact", "first_command", "runbook_url"], "{alert}");
        let [_, impact, command, url] = annotations.as_slice() else { panic!("{alert}") };
        let people = ["users ", "an attacker ", "gets no traffic"];
        assert!(people.iter().any(|who| impact.1.contains(who)), "{alert}: {}", impact.1);
        let section = format!("docs/runbook.md#{}", alert.to_lowercase());
        assert_eq!(url.1, section, "{alert}");
        assert_runs(&alert, &command.1.replace("{{ $labels.instance }}", "127.0.0.1:9464"));
    }
}

/// Asserts that a shell can parse the command, and that a program of this repository accepts it.
fn assert_runs(alert: &str, command: &str) {
    let parsed = Command::new("bash").args(["-n", "-c", command]).status().unwrap();
    assert!(parsed.success(), "{alert}: {command}");
    let program = command.split(' ').next().unwrap();
    let known = ["curl", "promtool", "psql", "date", "journalctl", "ps"];
    if ["caracal-streams", "caracal-guard"].contains(&program) {
        let args = command.split(' ').skip(1).chain(["--help"]);
        let output = Command::new(built(program)).args(args).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    } else {
        assert!(known.contains(&program), "{alert}: {command}");
    }
}

#[tokio::test]
async fn redis_conf_sets_what_the_streams_need() {
    let conf = repository("ops/redis.conf");
    let server = RedisServer::start_with(&["--include", conf.to_str().unwrap()]);
    let mut connection = server.connection().await;
    for (setting, expected) in
        [("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("appendfsync", "everysec")]
    {
        let (_, value): (String, String) =
            redis::cmd("CONFIG").arg(&["GET", setting]).query_async(&mut connection).await.unwrap();
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_queries_and_alerts_run_on_prometheus() {
    if !has_prometheus() {
        return;
    }
    let service = Operated::start().await;
    let prometheus = Prometheus::start(&service);
    let mut unanswered: Vec<_> = panels().iter().flat_map(queries).collect();
    // The tests of `caracal-guard` run its queries.
    unanswered.retain(|query| !query.contains("caracal_guard_") && !query.contains("front"));
    assert!(unanswered.len() > 20, "{unanswered:?}");
    let start = std::time::Instant::now();
    for n in 0.. {
        service.work(n).await;
        let mut still = Vec::new();
        for query in unanswered {
            if prometheus.query(&query).await.is_empty() {
                still.push(query);
            }
        }
        unanswered = still;
        if unanswered.is_empty() {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "panels without data: {unanswered:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }

    // Every rule is evaluated without an error, and one alert fires.
    let alert = r#"ALERTS{alertname="CaracalRevocationInvalidSignatures", alertstate="firing"}"#;
    wait_until("an alert fires", async || !prometheus.query(alert).await.is_empty()).await;
    let rules = prometheus.get("/api/v1/rules").await;
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), alerts().len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_fires_on_prometheus_started_later() {
    if !has_prometheus() {
        return;
    }
    let service = Operated::start().await;
    service.work(0).await;
    wait_until("the invalid signature is counted", async || {
        let invalid = "caracal_gateway_revocation_invalid_signatures_total";
        service.scrape().await.value(invalid) == Some(1.0)
    })
    .await;
    let prometheus = Prometheus::start(&service);
    let alert = r#"ALERTS{alertname="CaracalRevocationInvalidSignatures", alertstate="firing"}"#;
    wait_until("the alert fires", async || !prometheus.query(alert).await.is_empty()).await;
}

/// A Prometheus for one test, which scrapes the service each second.
struct Prometheus {
    _folder: TempDir,
    address: String,
    process: Child,
    client: TestClient,
}

impl Prometheus {
    fn start(service: &Operated) -> Self {
        let folder = TempDir::new().unwrap();
        let rules = repository("ops/prometheus/caracal-revocation.rules.yml");
        let config = serde_json::json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "gateway",
                "authorization": {"credentials": BEARER},
                "static_configs": [{"targets": [service.address.to_string()]}],
            }],
        });
        // JSON is valid YAML.
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { _folder: folder, address, process, client: TestClient::http1() }
    }

    /// Returns the JSON answer, or null while Prometheus is starting.
    async fn get(&self, path: &str) -> Value {
        if std::net::TcpStream::connect(&self.address).is_err() {
            return Value::Null;
        }
        let seen = self.client.get(&format!("http://{}{path}", self.address), &[]).await;
        serde_json::from_slice(&seen.body).unwrap_or(Value::Null)
    }

    /// Returns the samples of a query now. An invalid query fails the test.
    async fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await;
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
