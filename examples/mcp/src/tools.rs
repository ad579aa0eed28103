//! One tool that takes an hour.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation::Admission;
use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;

/// Receives one line for each step of a call.
pub type Watch = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub struct Tools {
    pub watch: Watch,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object" }).as_object().cloned().unwrap_or_default();
        let tool = Tool::new("research", "Works for an hour.", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    /// Runs in a task of the session, which outlives the response that the layer cuts. So the tool
    /// awaits the signal itself. The signal is in the extensions of the HTTP request.
    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<Parts>();
        let revoked =
            parts.and_then(|parts| parts.extensions.get::<Admission>()).map(Admission::revoked);
        // Without the layer there is no signal: the tool does nothing.
        let Some(revoked) = revoked else {
            return Err(ErrorData::internal_error("the call is not guarded", None));
        };
        (self.watch)(&format!("{} started", call.name));
        tokio::select! {
            cut = revoked => {
                (self.watch)(&format!("{} stopped: {}", call.name, cut.label()));
                Err(ErrorData::internal_error("the authority behind the call has ended", None))
            }
            () = context.ct.cancelled() => {
                (self.watch)(&format!("{} cancelled", call.name));
                Err(ErrorData::internal_error("cancelled", None))
            }
            () = tokio::time::sleep(Duration::from_secs(3_600)) => {
                Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
            }
        }
    }
}
