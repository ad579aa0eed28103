//! MCP over streamable HTTP, behind the layer.

use std::sync::Arc;

use axum::Router;
use caracal_revocation::{GatewayLayer, Revocations};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tower::util::MapRequestLayer;

use crate::mandates::Issuer;
use crate::tools::{Tools, Watch};

pub fn routes(revocations: Revocations, issuer: Issuer, watch: Watch) -> Router {
    let service = StreamableHttpService::new(
        move || Ok(Tools { watch: Arc::clone(&watch) }),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    Router::new()
        .route_service("/mcp", service)
        .layer(GatewayLayer::new(revocations))
        .layer(MapRequestLayer::new(move |request| issuer.authenticate(request)))
}
