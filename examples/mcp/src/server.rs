//! MCP over streamable HTTP behind the layer, and the metadata that names the authorization server.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use caracal_revocation::gateway::ResourceMetadataError;
use caracal_revocation::{GatewayLayer, Revocations};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tower::util::MapRequestLayer;

use crate::tools::{Tools, Watch};
use caracal_test_support::mandates::{ISSUER, Issuer};

/// The well-known path of RFC 9728, for the resource `/mcp`.
const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

/// Returns the routes. Clients reach the server at the address `at`.
pub fn routes(
    at: &str,
    revocations: Revocations,
    issuer: Issuer,
    watch: Watch,
) -> Result<Router, ResourceMetadataError> {
    let service = StreamableHttpService::new(
        move || Ok(Tools { watch: Arc::clone(&watch) }),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let gateway =
        GatewayLayer::new(revocations).with_resource_metadata(&format!("{at}{METADATA}"))?;
    let metadata = json!({
        "resource": format!("{at}/mcp"), "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    });
    Ok(Router::new()
        .route_service("/mcp", service)
        .layer(gateway)
        .layer(MapRequestLayer::new(move |request| issuer.authenticate(request)))
        // Outside the layer: a client reads it before it has a token.
        .route(METADATA, get(async move || Json(metadata))))
}
