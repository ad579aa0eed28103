//! Policies that every process of a service reloads, through a real Redis.

use std::io::Write;

use caracal_revocation::Follower;
use caracal_revocation::policy::{
    PolicyBundle, PolicyInput, PolicyRequest, PolicySource, Principal, RegoEngine, Resource,
    SourceError, ZonePolicies,
};
use caracal_revocation::wire::MessageBuilder;

use crate::live::{TIMEOUT, ZONE, eventually, follow, publisher, ready, ring, start_test};
use crate::redis_server::{RedisServer, settings};

const CHILD: &str = "CARACAL_TEST_POLICY_CHILD_URL";

/// A file with the version, shared by processes.
#[derive(Clone)]
struct File(std::path::PathBuf);

impl File {
    fn write(&self, version: &str) {
        // Replaces the file in one step, as a database would: no reader sees half of it.
        let next = self.0.with_extension("next");
        std::fs::write(&next, version).unwrap();
        std::fs::rename(&next, &self.0).unwrap();
    }
}

impl PolicySource for File {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let version = std::fs::read_to_string(&self.0).map_err(SourceError::new)?;
        let module = format!(
            r#"package caracal.authz
            import rego.v1
            result := {{"decision": "allow", "evaluation_status": "complete",
                "determining_policies": [{{"id": "{version}"}}], "diagnostics": []}}"#
        );
        let bundle = PolicyBundle::new(version).with_module("authz.rego", module);
        let digest = bundle.compute_digest();
        Ok(Some(bundle.with_digest(digest)))
    }
}

fn input() -> PolicyInput {
    let principal = Principal::new("application", "app-1", ZONE);
    PolicyInput::new(&principal, &Resource::new("api", "r-1", "https://api.example"), "x").unwrap()
}

async fn version(policies: &ZonePolicies) -> String {
    policies.decide(input()).await.map(|decision| decision.version.to_string()).unwrap_or_default()
}

fn serves(policies: &ZonePolicies, version: &str) -> bool {
    policies.status(ZONE).and_then(|status| status.version).as_deref() == Some(version)
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidation_loads_new_policy_and_ages_since_publication() {
    let server = RedisServer::start();
    let file = File(server.folder().join("policy"));
    file.write("v1");
    let revocations = follow(&server).await;
    let policies = ZonePolicies::new(revocations.clone(), file.clone(), RegoEngine::new());
    assert_eq!(version(&policies).await, "v1");
    let publisher = publisher(&server).await;
    // The message arrives before the version that it names.
    publisher.publish(MessageBuilder::policy(ZONE, "ps-1", "v2")).await.unwrap();
    eventually("the invalidation is read", || {
        policies.status(ZONE).is_some_and(|status| !status.invalidation_age.is_zero())
    })
    .await;
    let status = policies.status(ZONE).unwrap();
    assert_eq!((status.awaited.as_deref(), status.version.as_deref()), (Some("v2"), Some("v1")));
    assert!(status.invalidation_age < TIMEOUT);
    file.write("v2");
    eventually("v2 is in force", || serves(&policies, "v2")).await;
    assert_eq!(version(&policies).await, "v2");
    assert!(policies.status(ZONE).unwrap().invalidation_age.is_zero());
}

/// The process that the next test starts twice.
#[tokio::test(flavor = "multi_thread")]
async fn policy_child_process() {
    let Ok(setting) = std::env::var(CHILD) else { return };
    let (url, path) = setting.split_once(' ').unwrap();
    let revocations = Follower::new(settings(url, &ring())).spawn();
    ready(&revocations).await;
    let policies = ZonePolicies::new(revocations, File(path.into()), RegoEngine::new());
    assert_eq!(version(&policies).await, "v1");
    println!("child serves v1");
    std::io::stdout().flush().unwrap();
    eventually("the child reloads", || serves(&policies, "v2")).await;
    println!("child serves v2");
}

#[tokio::test]
async fn two_processes_both_reload() {
    let server = RedisServer::start();
    let file = File(server.folder().join("policy"));
    file.write("v1");
    let setting = format!("{} {}", server.url(), file.0.display());
    let mut children =
        [(); 2].map(|()| start_test("policies::policy_child_process", CHILD, &setting));
    for (_, lines) in &mut children {
        assert!(lines.any(|line| line.contains("child serves v1")));
    }
    file.write("v2");
    let message = MessageBuilder::policy(ZONE, "ps-1", "v2");
    publisher(&server).await.publish(message).await.unwrap();
    for (child, lines) in &mut children {
        assert!(lines.any(|line| line.contains("child serves v2")));
        assert!(child.wait().unwrap().success());
    }
}
