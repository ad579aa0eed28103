//! From a request to the input of its decision: what the user writes, and what stands in for it.

use caracal_revocation_opa::{InvalidInput, PolicyInput, Principal, Resource};
use caracal_revocation_state::Claims;
use http::{Extensions, HeaderMap, Method, Uri};

/// What is known of a request that the gateway admitted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestFacts<'a> {
    /// The verified claims that the gateway decided on.
    pub claims: &'a Claims,
    /// The zone whose policy decides: the input's principal must be in it.
    pub zone: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path that the client sent, with its escapes decoded. Outside of every `nest` of axum's.
    /// Each escape is decoded once; paths with more than one reading are denied before.
    pub path: &'a str,
    /// The route that axum matched, such as `/files/{name}`, if the layer stands inside a router.
    pub route: Option<&'a str>,
    /// The URI as the client sent it, escapes included. Decide on [`path`](Self::path): handlers
    /// read it decoded.
    pub raw_uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions, where other layers leave more of what they verified. Read a mandate with
    /// `Mandate::of`, which returns only the one that the request was admitted on.
    pub extensions: &'a Extensions,
}

/// Makes the input of a decision. Every function from [`RequestFacts`] is one:
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
    /// The input for this request.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] when it cannot be what the schema says: the request is denied.
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

/// The input that follows from the revocation claims alone, for one resource.
///
/// The principal is the authority record (`type` `authority_record`, `id` the claim `sid`), with
/// `agent_session_id`; nothing else of the actor is known here. Session, delegation, method, path
/// and route are set, and the claims stand in `context.actor_claims`. What the token does not name
/// is left out.
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
    /// For this resource and the scopes that it names; the action's id is `request`.
    pub fn new(resource: Resource) -> Self {
        Self { resource, action: "request".to_owned() }
    }

    /// With another id of the action.
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
