//! Builds the input of a policy decision from a request.

use caracal_revocation_opa::{InvalidInput, PolicyInput, Principal, Resource};
use caracal_revocation_state::Claims;
use http::{Extensions, HeaderMap, Method, Uri};

/// The facts about an admitted request, for the input of its decision.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestFacts<'a> {
    /// The verified claims that the gateway decided on.
    pub claims: &'a Claims,
    /// The zone whose policy decides: the input's principal must be in it.
    pub zone: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path that the client sent, including the prefixes of axum's `nest`. Each escape is
    /// decoded once. A path with more than one reading never gets here: its request is denied.
    pub path: &'a str,
    /// The route that axum matched, such as `/files/{name}`, if the layer is inside a router.
    pub route: Option<&'a str>,
    /// The URI as the client sent it, escapes included. Decide on [`path`](Self::path) instead:
    /// handlers see the decoded path.
    pub raw_uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions, where other layers leave more verified facts. Read a mandate with
    /// `Mandate::of`, which returns only the one that the request was admitted on.
    pub extensions: &'a Extensions,
}

/// Builds the input of a decision. Every function from [`RequestFacts`] to a [`PolicyInput`]
/// implements this trait:
///
/// ```
/// use caracal_revocation_layer::{BuildInput, RequestFacts};
/// use caracal_revocation_opa::{InvalidInput, PolicyInput, Principal, Resource};
///
/// fn input(request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> {
///     let principal = Principal::new("application", "app-1", request.zone);
///     let resource = Resource::new("api", "r-1", "https://api.example").with_scope("read");
///     Ok(PolicyInput::new(&principal, &resource, "invoke")?
///         .with_request(request.method.as_str(), request.path))
/// }
/// fn takes(_: impl BuildInput) {}
/// takes(input);
/// ```
pub trait BuildInput: Send + Sync + 'static {
    /// Builds the input for this request.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if the input does not fit the schema. The request is then denied.
    fn build(&self, request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput>;
}

impl<F> BuildInput for F
where
    F: Fn(&RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> + Send + Sync + 'static,
{
    fn build(&self, request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> {
        self(request)
    }
}

/// The input for one resource, built from the revocation claims alone.
///
/// The principal is the authority record (`type` `authority_record`, `id` the claim `sid`), with
/// `agent_session_id`. The claims hold no other property of the actor. The input has the session,
/// delegation, method, path and route, and the claims in `context.actor_claims`. Claims that the
/// token lacks are left out.
///
/// A service that knows more adds it: the application, its labels, the claims of the subject.
///
/// ```
/// use caracal_revocation_layer::{BuildInput, ClaimsInput, RequestFacts};
/// use caracal_revocation_opa::Resource;
///
/// let claims = ClaimsInput::new(Resource::new("api", "r-1", "https://api.example"));
/// let input = move |request: &RequestFacts<'_>| {
///     // A mandate is in `request.extensions`, and names more of them.
///     Ok(claims
///         .build(request)?
///         .with_application("app-1")
///         .with_labels(["reader"])
///         .with_subject_claim("sub", "user-1"))
/// };
/// fn takes(_: impl BuildInput) {}
/// takes(input);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClaimsInput {
    resource: Resource,
    action: String,
}

impl ClaimsInput {
    /// Creates an input for this resource and its scopes. The action has the id `request`.
    pub fn new(resource: Resource) -> Self {
        Self { resource, action: "request".to_owned() }
    }

    /// Sets the id of the action.
    pub fn with_action(mut self, id: &str) -> Self {
        id.clone_into(&mut self.action);
        self
    }
}

impl BuildInput for ClaimsInput {
    fn build(&self, request: &RequestFacts<'_>) -> Result<PolicyInput, InvalidInput> {
        let claims = request.claims;
        let principal = Principal::new("authority_record", &claims.sid, request.zone);
        let mut input = PolicyInput::new(&principal, &self.resource, &self.action)?
            .with_request(request.method.as_str(), request.path)
            .with_route(request.route.unwrap_or_default())
            .with_session(&claims.sid)
            .with_agent_session(claims.agent_session_id.as_deref().unwrap_or_default())
            .with_delegation(claims.delegation_edge_id.as_deref().unwrap_or_default())
            .with_actor_claim("sid", &*claims.sid)
            .with_actor_claim("zone_id", request.zone);
        for (name, value) in [
            ("root_sid", &claims.root_sid),
            ("agent_session_id", &claims.agent_session_id),
            ("delegation_edge_id", &claims.delegation_edge_id),
        ] {
            if let Some(value) = value {
                input = input.with_actor_claim(name, &**value);
            }
        }
        if claims.delegation_graph_epoch > 0 {
            input = input.with_actor_claim("delegation_graph_epoch", claims.delegation_graph_epoch);
        }
        Ok(input)
    }
}
