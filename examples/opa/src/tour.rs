//! An axum service and its client in one program: requests before and after a policy is edited.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use axum::{Extension, Router, routing::get};
use caracal_revocation::GatewayLayer;
use caracal_revocation::policy::{
    ClaimsInput, PolicyDecision, PolicyEngine, PolicyLayer, Resource, ZonePolicies,
};
use caracal_revocation::wire::{MessageBuilder, Stream};
use caracal_test_support::{mandates, streams};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use crate::Folder;

/// The zones of the example.
pub const ZONES: [&str; 2] = ["zone-a", "zone-b"];

const POLICY: &str = r#"package caracal.authz

import rego.v1

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": [],
	"diagnostics": [],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": [{"id": "paths"}],
	"diagnostics": [],
} if {
	some prefix in data.allowed
	startswith(input.action.path, prefix)
}
"#;

/// Runs the tour with this engine. Returns an error if a decision is not the expected one.
pub async fn run(engine: impl PolicyEngine) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_target(false).init();
    let folder = tempfile::tempdir()?;
    write(folder.path(), "zone-a", &["/reports"])?;
    write(folder.path(), "zone-b", &["/reports", "/admin"])?;
    let source = Folder::new(folder.path());

    let issuer = mandates::Issuer::new()?;
    let (follower, publisher) = streams::from_env(&[Stream::PolicyInvalidate]).await?;
    let revocations = follower.spawn();
    streams::ready(&revocations).await?;
    let session = streams::session();
    let policies = ZonePolicies::new(revocations.clone(), source.clone(), engine);

    let resource = Resource::new("api", "reports", "https://reports.example").with_scope("read");
    let authenticate = issuer.clone();
    let app = Router::new()
        .route("/{*path}", get(show))
        .layer(PolicyLayer::new(policies.clone(), ClaimsInput::new(resource)))
        .layer(GatewayLayer::new(revocations.clone()))
        .layer(MapRequestLayer::new(move |request| authenticate.authenticate(request)));

    let expect_status = async |zone: &str, path: &str, expected: StatusCode| {
        let token = issuer.mint_in(zone, &session)?;
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(axum::body::Body::empty())?;
        let (parts, body) = app.clone().oneshot(request).await?.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        println!("{zone} {path}: {} {}", parts.status, body.trim());
        (parts.status == expected)
            .then_some(())
            .ok_or_else(|| Box::<dyn Error>::from(format!("{zone} {path}: {expected} expected")))
    };

    println!("\nzone-a allows /reports, zone-b also /admin:");
    expect_status("zone-a", "/reports/7", StatusCode::OK).await?;
    expect_status("zone-a", "/admin/7", StatusCode::FORBIDDEN).await?;
    expect_status("zone-b", "/admin/7", StatusCode::OK).await?;
    expect_status("zone-c", "/reports/7", StatusCode::FORBIDDEN).await.or_else(no_engine)?;
    ages(&policies);

    println!("\nzone-a's policy is edited on disk, and the message is published:");
    write(folder.path(), "zone-a", &["/admin"])?;
    let edited = source.read("zone-a")?.ok_or("the zone's folder is gone")?;
    let id = publisher.publish(MessageBuilder::policy("zone-a", "set-1", edited.version())).await?;
    println!("policy.invalidate {id}, version {}", edited.version());
    let began = std::time::Instant::now();
    while policies.status("zone-a").and_then(|zone| zone.version).as_deref()
        != Some(edited.version())
    {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("the new policy never came into force".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("in force after {:?}", began.elapsed());
    expect_status("zone-a", "/admin/7", StatusCode::OK).await?;
    expect_status("zone-a", "/reports/7", StatusCode::FORBIDDEN).await?;
    expect_status("zone-b", "/reports/7", StatusCode::OK).await?;
    ages(&policies);
    Ok(())
}

/// Shows that a zone without an OPA server is denied as unknown, not as forbidden.
fn no_engine(error: Box<dyn Error>) -> Result<(), Box<dyn Error>> {
    if error.to_string().starts_with("zone-c") { Ok(()) } else { Err(error) }
}

async fn show(Extension(decision): Extension<PolicyDecision>) -> String {
    format!("allowed by version {}", decision.version)
}

fn ages(policies: &ZonePolicies) {
    for zone in policies.statuses() {
        let version = zone.version.as_deref().unwrap_or("none");
        let (confirmed, invalidation) = (zone.confirmed_age, zone.invalidation_age);
        println!(
            "  {}: version {version}, policy age {confirmed:.1?}, invalidation age {invalidation:.1?}",
            zone.zone
        );
    }
}

fn write(folder: &Path, zone: &str, allowed: &[&str]) -> std::io::Result<()> {
    let folder = folder.join(zone);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("authz.rego"), POLICY)?;
    let data = serde_json::json!({ "allowed": allowed }).to_string();
    std::fs::write(folder.join("data.json"), data)
}
