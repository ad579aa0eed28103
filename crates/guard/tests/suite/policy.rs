//! Policies of routes: with the feature `opa`, and without it.

#[cfg(feature = "opa")]
use std::time::{Duration, Instant};

use crate::program::Guard;
use crate::world::{World, free_address};

/// Writes a configuration whose `/reports` asks the policy in `folder`. Each path is listed as the
/// proxy's and as the check's.
fn configuration(folder: &std::path::Path, more: &str) -> String {
    format!(
        "[policy]\nfolder = '{}'\n{more}\n\
         [[routes]]\npath = '/check/reports/*'\npolicy = true\n\
         [[routes]]\npath = '/reports/*'\npolicy = true\n\
         [[routes]]\npath = '/*'\n",
        folder.display()
    )
}

/// Starts a guard that must end, and returns its log.
async fn rejected(world: &World, file: &str) -> String {
    let (environment, _folder) = world.configured(file);
    Guard::launch(&environment, &["--check", &free_address().to_string()]).ended().await
}

#[cfg(not(feature = "opa"))]
#[tokio::test(flavor = "multi_thread")]
async fn policy_without_the_feature_is_an_error_that_names_it() {
    let world = World::start().await;
    let log = rejected(&world, &configuration("/etc/caracal/policy".as_ref(), "")).await;
    assert!(log.contains("error: policy: needs"), "{log}");
    assert!(log.contains("the feature `opa`"), "{log}");
}

#[cfg(feature = "opa")]
mod with_feature {
    use std::net::SocketAddr;
    use std::path::Path;

    use super::*;
    use crate::exchange::{body, send, status};

    const POLICY: &str = r#"package caracal.authz

import rego.v1

default result := {
	"decision": "deny", "evaluation_status": "complete",
	"determining_policies": [], "diagnostics": [],
}

result := {
	"decision": "allow", "evaluation_status": "complete",
	"determining_policies": [{"id": "reports"}], "diagnostics": [],
} if {
	some prefix in data.allowed
	endswith(input.action.path, prefix)
	"reports:read" in input.context.requested_scopes
	input.context.subject_claims.sub == "agent-1"
}
"#;

    fn write(folder: &Path, policy: &str, allowed: &str) {
        std::fs::write(folder.join("authz.rego"), policy).unwrap();
        let data = serde_json::json!({ "allowed": [allowed] });
        std::fs::write(folder.join("data.json"), data.to_string()).unwrap();
    }

    fn bearer(world: &World, scope: &str) -> String {
        let token = world.mint_with("ar-1", &serde_json::json!({ "scope": scope }));
        format!("Authorization: Bearer {token}")
    }

    async fn ask(check: SocketAddr, path: &str, token: &str) -> String {
        send(check, "GET", &format!("/check{path}"), &[token]).await.unwrap()
    }

    async fn answers(check: SocketAddr, path: &str, token: &str, wanted: u16) -> String {
        let start = Instant::now();
        loop {
            let response = ask(check, path, token).await;
            if status(&response) == wanted {
                return response;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "never {wanted}: {response}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that the policy in `folder` decides, and that a new one does after SIGHUP.
    async fn decides_and_reloads(more: &str) {
        let (world, folder) = (World::start().await, tempfile::tempdir().unwrap());
        write(folder.path(), POLICY, "/reports/7");
        let (environment, _config) = world.configured(&configuration(folder.path(), more));
        let check = free_address();
        let guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
        let (reader, other) = (bearer(&world, "reports:read"), bearer(&world, "orders:read"));
        answers(check, "/reports/7", &reader, 200).await;
        let response = ask(check, "/reports/7", &other).await;
        assert_eq!(status(&response), 403, "{response}");
        assert!(body(&response).contains("denied by policy"), "{response}");
        assert_eq!(status(&ask(check, "/reports/8", &reader).await), 403);
        assert_eq!(status(&ask(check, "/orders/8", &other).await), 200, "a route without policy");

        write(folder.path(), POLICY, "/reports/8");
        guard.signal("HUP");
        answers(check, "/reports/8", &reader, 200).await;
        assert_eq!(status(&ask(check, "/reports/7", &reader).await), 403);

        // A policy that does not compile changes nothing.
        write(folder.path(), "package caracal.authz\nresult := {{{", "/reports/7");
        guard.signal("HUP");
        let compile_errors = "caracal_sts_opa_compile_errors_total";
        let start = Instant::now();
        while guard.metric(compile_errors).await.unwrap_or_default() == 0.0 {
            assert!(start.elapsed() < Duration::from_secs(30), "never compiled");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status(&ask(check, "/reports/8", &reader).await), 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn folder_decides_routes_and_is_read_again_on_reload() {
        decides_and_reloads("").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn real_opa_decides_routes_and_gets_the_new_policy_on_reload() {
        let Ok(url) = std::env::var("OPA_URL") else {
            eprintln!("SKIPPED: set OPA_URL to the address of a real OPA");
            return;
        };
        let url = url.split(',').next().unwrap();
        decides_and_reloads(&format!("url = '{url}'")).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unreachable_opa_denies_as_an_outage() {
        let (world, folder) = (World::start().await, tempfile::tempdir().unwrap());
        write(folder.path(), POLICY, "/reports/7");
        let url = format!("url = 'http://{}'", free_address());
        let (environment, _config) = world.configured(&configuration(folder.path(), &url));
        let check = free_address();
        let _guard = Guard::start(&environment, &["--check", &check.to_string()]).await;
        let reader = bearer(&world, "reports:read");
        let response = ask(check, "/reports/7", &reader).await;
        assert_eq!(status(&response), 503, "{response}");
        assert!(body(&response).contains("policy state unavailable"), "{response}");
        assert_eq!(status(&ask(check, "/orders/8", &reader).await), 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn folder_without_rego_is_an_error_that_names_it() {
        let (world, folder) = (World::start().await, tempfile::tempdir().unwrap());
        let log = rejected(&world, &configuration(folder.path(), "")).await;
        assert!(log.contains("error: policy.folder: "), "{log}");
        assert!(log.contains("no *.rego file"), "{log}");
    }
}
