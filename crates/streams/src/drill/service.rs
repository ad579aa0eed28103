//! Asks services for `/ready`.

use http::{StatusCode, Uri};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::http_client::{Answer, HttpClient};
use super::report::ServiceReport;

/// The part of an answer to `/ready` that a report shows.
#[derive(Debug, Default, Deserialize)]
struct Readiness {
    reason: Option<String>,
    advice: Option<String>,
}

/// Asks all services at once, and returns their answers in the given order.
pub(super) async fn ask_all(client: &HttpClient, urls: &[Uri]) -> Vec<ServiceReport> {
    let mut tasks = JoinSet::new();
    for (place, url) in urls.iter().cloned().enumerate() {
        let client = client.clone();
        tasks.spawn(async move { (place, ask(&client, &url).await) });
    }
    let mut reports = tasks.join_all().await;
    reports.sort_unstable_by_key(|(place, _)| *place);
    reports.into_iter().map(|(_, report)| report).collect()
}

async fn ask(client: &HttpClient, url: &Uri) -> ServiceReport {
    let url = with_path(url);
    let answer = client.get(&url, None).await;
    let reason = match answer {
        Ok(answer) if answer.status == StatusCode::OK => None,
        Ok(answer) => Some(reason(&answer)),
        Err(why) => Some(why),
    };
    ServiceReport { url: url.to_string(), ready: reason.is_none(), reason }
}

/// Returns the URL with the path `/ready`, unless it has a path already.
fn with_path(url: &Uri) -> Uri {
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return url.clone();
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/ready"));
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// Returns the reason in the body, or the status.
fn reason(answer: &Answer) -> String {
    let readiness: Readiness = serde_json::from_slice(&answer.body).unwrap_or_default();
    let status = answer.status.as_u16();
    let mut reason = readiness.reason.unwrap_or_else(|| format!("status {status}"));
    if let Some(advice) = readiness.advice {
        reason.push_str(": ");
        reason.push_str(&advice);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_ready_only_to_a_url_without_path() {
        for (url, expected) in [
            ("http://gw-1:9464", "http://gw-1:9464/ready"),
            ("https://gw-1/", "https://gw-1/ready"),
            ("http://gw-1/internal/ready", "http://gw-1/internal/ready"),
            ("http://gw-1/?a=1", "http://gw-1/?a=1"),
        ] {
            assert_eq!(with_path(&url.parse().unwrap()).to_string(), expected);
        }
    }
}
