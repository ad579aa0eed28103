//! Every reading of `Authorization`, and the answer in full.

use serde_json::{Value, json};

use super::{Setup, both};
use crate::exchange::{body, header, status};

fn json_of(response: &str) -> Value {
    serde_json::from_str(body(response)).unwrap_or_else(|_| panic!("no JSON in {response:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_bad_tokens_in_full() {
    for program in both() {
        let setup = Setup::start(&program, &[], &[]).await;
        let token = setup.token();
        let joined = format!("{token},Bearer x");
        let oversized = format!("Authorization: Bearer {}", "x".repeat(5000));
        let cases: [(&[&str], &str); 11] = [
            (&[], "missing_token"),
            (&["Authorization:"], "missing_token"),
            (&["Authorization: Basic dXNlcjpwYXNz"], "missing_token"),
            (&[&token, &token], "invalid_token"),
            (&[&token, "Authorization: Bearer x.y.z"], "invalid_token"),
            (&["Authorization: Bearer x.y.z", &token], "invalid_token"),
            (&[&token, "authorization: Basic dXNlcjpwYXNz"], "invalid_token"),
            (&[&joined], "invalid_token"),
            (&["Authorization: Bearer x.y.z"], "invalid_token"),
            (&["Authorization: Bearer \u{1}"], "invalid_token"),
            (&[&oversized], "invalid_token"),
        ];
        for (headers, error) in cases {
            for method in ["GET", "POST", "DELETE"] {
                let mut all = headers.to_vec();
                all.extend(["X-Request-Id: r-1", "Content-Type: application/grpc", "TE: trailers"]);
                let response = setup.send(method, "/", &all).await;
                assert_eq!(status(&response), 401, "{headers:?} {response}");
                let json = json_of(&response);
                assert_eq!((&json["error"], &json["requestId"]), (&json!(error), &json!("r-1")));
                let challenge = header(&response, "www-authenticate").unwrap();
                assert!(challenge.starts_with("Bearer"), "{response}");
                assert_eq!(challenge.contains("error="), error != "missing_token", "{response}");
                assert_eq!(header(&response, "x-request-id"), Some("r-1"));
                assert_eq!(header(&response, "content-type"), Some("application/json"));
                assert_eq!(header(&response, "cache-control"), Some("no-store"));
            }
        }
        assert_eq!(setup.upstream.take(), [], "a denied request reached the application");
        let denials = r#"caracal_resource_denials_total{reason="ambiguous_token",front="spoe"}"#;
        assert_eq!(setup.guard.metric(denials).await, Some(12.0));
    }
}
