//! The input of a policy decision.

mod schema;

use serde_json::{Map, Value, json};

pub use schema::InvalidInput;
use schema::{SCHEMA_VERSION, check};

/// The `type` of an application as a principal, as the STS writes it.
const APPLICATION: &str = "Application";

/// The input of one decision: the principal, the resource, the action and the context.
///
/// ```
/// use caracal_revocation_opa::{PolicyInput, Principal, Resource};
/// use serde_json::json;
///
/// let input = PolicyInput::new(
///     &Principal::new("application", "app-1", "z-1"),
///     &Resource::new("api", "r-1", "https://api.example").with_scope("read"),
///     "invoke",
/// )?
/// .with_request("GET", "/reports")
/// .with_session("ar-1");
/// assert_eq!(input.zone(), "z-1");
/// assert_eq!(input.as_value()["context"]["requested_scopes"], json!(["read"]));
/// assert!(PolicyInput::from_value(json!({ "schema_version": "2026-05-20" })).is_err());
/// # Ok::<(), caracal_revocation_opa::InvalidInput>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyInput(Value);

/// The client that makes the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal(Map<String, Value>);

/// The resource that the request concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource(Map<String, Value>);

impl Principal {
    /// Creates a principal of this type with this id, in this zone. None of them may be empty.
    #[must_use]
    pub fn new(kind: &str, id: &str, zone: &str) -> Self {
        Self(object([("type", json!(kind)), ("id", json!(id)), ("zone_id", json!(zone))]))
    }

    /// Sets any other member: `labels`, `lifecycle`, `agent_session_id`, …
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl Resource {
    /// Creates a resource with this type, id and identifier (its URI), and without scopes. None of
    /// the three may be empty.
    #[must_use]
    pub fn new(kind: &str, id: &str, identifier: &str) -> Self {
        Self(object([
            ("type", json!(kind)),
            ("id", json!(id)),
            ("identifier", json!(identifier)),
            ("scopes", json!([])),
        ]))
    }

    /// Adds a requested scope.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        if let Some(Value::Array(scopes)) = self.0.get_mut("scopes") {
            scopes.push(json!(scope));
        }
        self
    }

    /// Sets any other member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl PolicyInput {
    /// Creates an input without a session or a delegation. The requested scopes are those of the
    /// resource.
    ///
    /// An unknown member is absent, as in the input of Caracal's STS, and never `null`. In Rego,
    /// `not input.delegation_edge` is true if the member is absent, and false if it is `null`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] names the part that the schema does not allow.
    pub fn new(
        principal: &Principal,
        resource: &Resource,
        action: &str,
    ) -> Result<Self, InvalidInput> {
        let scopes = resource.0.get("scopes").cloned().unwrap_or_else(|| json!([]));
        Self::from_value(json!({
            "schema_version": SCHEMA_VERSION,
            "principal": principal.0,
            "resource": resource.0,
            "action": { "id": action },
            "context": {
                "actor_claims": {},
                "challenge_resolved": false,
                "requested_scopes": scopes,
            },
        }))
    }

    /// Creates an input from JSON. A `null` in it stays, so leave unknown members out.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] names the part that the schema does not allow.
    pub fn from_value(value: Value) -> Result<Self, InvalidInput> {
        check(&value)?;
        Ok(Self(value))
    }

    /// Sets the method and the decoded path of the request. Also sets the path's segments as
    /// `action.segments`: both `/files/a` and `/files/a/` have the segments `files` and `a`.
    #[must_use]
    pub fn with_request(self, method: &str, path: &str) -> Self {
        let segments = path.strip_prefix('/').unwrap_or_default();
        let segments = segments.strip_suffix('/').unwrap_or(segments);
        let segments: Vec<&str> = match segments {
            "" => Vec::new(),
            segments => segments.split('/').collect(),
        };
        self.with("/action", "method", json!(method)).with("/action", "path", json!(path)).with(
            "/action",
            "segments",
            json!(segments),
        )
    }

    /// Sets the route that a router matched as `action.route`, unless it is empty.
    #[must_use]
    pub fn with_route(self, route: &str) -> Self {
        if route.is_empty() { self } else { self.with("/action", "route", json!(route)) }
    }

    /// Sets the principal to this application, unless `id` is empty.
    #[must_use]
    pub fn with_application(self, id: &str) -> Self {
        if id.is_empty() {
            return self;
        }
        self.with("/principal", "type", json!(APPLICATION)).with("/principal", "id", json!(id))
    }

    /// Sets the labels of the principal, such as the roles of a session.
    #[must_use]
    pub fn with_labels<L: Into<String>>(self, labels: impl IntoIterator<Item = L>) -> Self {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        self.with("/principal", "labels", json!(labels))
    }

    /// Sets the governed session, unless `id` is empty.
    #[must_use]
    pub fn with_agent_session(self, id: &str) -> Self {
        if id.is_empty() {
            return self;
        }
        let name = "agent_session_id";
        self.with("/principal", name, json!(id)).with("/context", name, json!(id))
    }

    /// Sets the authority record, unless `id` is empty.
    #[must_use]
    pub fn with_session(self, id: &str) -> Self {
        if id.is_empty() {
            return self;
        }
        self.with("", "session", json!({ "id": id })).with("/context", "session_id", json!(id))
    }

    /// Sets the delegation, unless `id` is empty.
    #[must_use]
    pub fn with_delegation(self, id: &str) -> Self {
        if id.is_empty() {
            return self;
        }
        self.with("", "delegation_edge", json!({ "id": id })).with(
            "/context",
            "delegation_edge_id",
            json!(id),
        )
    }

    /// Adds a claim of the actor's verified mandate to the context.
    #[must_use]
    pub fn with_actor_claim(self, name: &str, value: impl Into<Value>) -> Self {
        self.with("/context/actor_claims", name, value.into())
    }

    /// Adds a claim from the verified token of the subject for which the actor acts. Without such a
    /// claim, the input has no `context.subject_claims`.
    #[must_use]
    pub fn with_subject_claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(context) = self.0.pointer_mut("/context").and_then(Value::as_object_mut) {
            context.entry("subject_claims").or_insert_with(|| json!({}));
        }
        self.with("/context/subject_claims", name, value.into())
    }

    /// Returns the zone of the principal. The policy of this zone decides.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.pointer("/principal/zone_id").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the input as JSON.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.0
    }

    fn with(mut self, object: &str, name: &str, value: Value) -> Self {
        if let Some(Value::Object(members)) = self.0.pointer_mut(object) {
            members.insert(name.to_owned(), value);
        }
        self
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
