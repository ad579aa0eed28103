//! The place of each part: the layers, the verifier, the operations endpoints and Redis.
//!
//! # Which layer
//!
//! | service | layer | verifies tokens |
//! |---|---|---|
//! | resource server (an API, an MCP server) | [`ResourceLayer`](crate::ResourceLayer) | itself, with a [`Verifier`](crate::Verifier) |
//! | gateway with its own authentication layer | [`GatewayLayer`](crate::GatewayLayer) | the outer layer, which puts [`Claims`](crate::Claims) into the extensions |
//! | gateway without one | [`GatewayLayer::with_verifier`](crate::GatewayLayer::with_verifier) | itself |
//! | token endpoint | [`StsLayer`](crate::StsLayer) | the STS behind it |
//!
//! All layers of a process share one [`Revocations`](crate::Revocations), which is cheap to clone.
//! A state has exactly one [`Follower`](crate::Follower).
//!
//! # axum
//!
//! With `Router::layer`, the layer that is added last is the outermost. Add the revocation layer
//! first, then the layer that verifies tokens, then CORS. Put [`Operations`](crate::Operations)
//! outside: behind the layer, `/ready` and `/metrics` answer 401, because probes carry no token.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use caracal_revocation::{Follower, Operations, ResourceLayer, Verifier};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = Follower::from_env()?.spawn(); // REDIS_URL, STREAMS_HMAC_KEY
//! let verifier = Verifier::builder("https://sts.example", "zone-1", "https://orders.example")
//!     .build(&revocations)?;
//! let resource = ResourceLayer::new(verifier);
//! let reading = Router::new()
//!     .route("/orders", get(async || "orders"))
//!     .layer(resource.clone().require_scope("orders:read"));
//! let writing = Router::new()
//!     .route("/orders/new", get(async || "created"))
//!     .layer(resource.require_scope("orders:write"));
//! let app: Router = reading
//!     .merge(writing)
//!     .fallback_service(Operations::new(revocations)); // /health, /ready: no token needed
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! # Status and reload
//!
//! [`Operations`](crate::Operations) answers `/status` as JSON to every client: what `/ready` says,
//! and the staleness bound. With the token of `with_bearer`, it adds details for operators: the
//! position in each stream, gaps and their causes, the key slots that verify, the baseline, the
//! snapshot and the version. With the feature `status-page`, `with_page` shows the same at `/` to
//! people. `POST /revocations/reload` lets the follower read everything again. It needs a token that
//! only operators have:
//!
//! ```no_run
//! use caracal_revocation::{Follower, Operations};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [scrape, token] = ["/run/secrets/scrape", "/run/secrets/reload"].map(std::fs::read_to_string);
//! let follower = Follower::from_env()?;
//! let reload = follower.reload_handle();
//! let operations = Operations::new(follower.spawn())
//!     .with_bearer(scrape?.trim())
//!     .with_reload(token?.trim(), move || reload.start());
//! # let _ = operations;
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! With the feature `axum`, a handler takes the verified [`Mandate`](crate::Mandate) as an
//! argument. Behind a layer that also admits requests without a token, it takes `Option<Mandate>`.
//! Behind a `GatewayLayer` that has no verifier, take `Extension<Admission>`: its claims are the
//! identity that was decided on.
//!
//! # hyper and `ServiceBuilder`
//!
//! Behind a layer, the body of a request is a
//! [`GuardedRequestBody`](crate::gateway::GuardedRequestBody): reading it fails once the request is
//! cut. axum accepts it without a change. With `ServiceBuilder` and a `service_fn`, the handler
//! names the type: `async fn handle(request: Request<GuardedRequestBody<Incoming>>)`. If an inner
//! layer needs axum's own body type, such as `from_fn`, map it first:
//! `.map_request(|request: http::Request<GuardedRequestBody<Body>>| request.map(Body::new))`. The
//! documentation of `caracal-revocation-layer` has the compiled examples, under *Combining
//! with other layers*.
//!
//! # tonic
//!
//! Give the layer to the server:
//!
//! ```text
//! Server::builder().layer(GatewayLayer::new(revocations).with_verifier(verifier).grpc_only())
//!     .add_service(orders)
//! ```
//!
//! A denied call gets the gRPC status `UNAUTHENTICATED`, or `UNAVAILABLE` while the state is
//! unknown, with an `ErrorInfo` in its details. A running call that is cut ends with
//! `UNAUTHENTICATED`. By default, a request is answered as gRPC only if it is an HTTP/2 `POST` with
//! `te: trailers` and a content type of gRPC; `grpc_only()` is for servers that speak nothing else.
//! Do not use it for a service that a proxy asks for a decision: the proxy treats status 200
//! as an approval.
//!
//! # Redis
//!
//! Redis 7.0 or later, with `maxmemory-policy noeviction`, `appendonly yes` and
//! `appendfsync everysec`. The follower needs its own connection and a user that can read the
//! streams but not write them; `docs/settings.md` in the repository lists its rights.
//! `caracal-streams doctor`, run with the service's settings, checks:
//!
//! - the server: version, role, persistence, eviction policy, memory and clock;
//! - the rights of this user: missing ones and unnecessary ones;
//! - the streams and groups, their length and their readers;
//! - the last day of messages, as a follower with these keys reads them;
//! - the dead letters.
//!
//! # Single use at a gateway
//!
//! Caracal's Gateway accepts each mandate of `use` `gateway` or `resource` once.
//! [`GatewayLayer::with_single_use`](crate::GatewayLayer::with_single_use) does the same, with
//! [`UsedMandates`](crate::stream::UsedMandates) as the record: the same keys in the same Redis.
//! The user of Redis then also needs `+set %W~seen:jti:*`.
//!
//! - **Retries.** A proxy that retries a request, or asks twice about one, uses the mandate twice.
//!   The second use is denied. Turn retries off (nginx: `proxy_next_upstream off`), or let clients
//!   request a new mandate for each attempt.
//! - **Outages.** While Redis cannot be asked, requests are denied (503). A mandate whose request
//!   was denied in this way may count as used.
//! - **Loss.** A record that Redis loses can be replayed until the mandate expires. With
//!   `appendfsync everysec` that is the last second before a crash; a failover loses what the
//!   replica had not received.
//! - **Time.** The record lasts until three minutes after `exp`: mandates are accepted for one
//!   minute after it, and two clocks may differ by two. Caracal's Gateway keeps its records only
//!   until `exp`, so a mandate that was used there can be used here in the minute after it.
//!
//! # Tasks that stay with a resource server
//!
//! - **Single use.** A mandate is accepted until it expires. If a call must happen once, record the
//!   id of its [`Mandate`](crate::Mandate) in your own database.
//! - **Audit.** The layers log denials and cuts. Only the handler knows the result of an admitted
//!   call.
//! - **Trace context.** Events go into the request's current span. Reading and forwarding
//!   `traceparent` is for your tracing layers, outside of these.
//!
//! # First rollout
//!
//! [`GatewayLayer::insecure_observe_only`](crate::GatewayLayer::insecure_observe_only) counts and
//! logs each request that it would deny, and denies none. Watch
//! `caracal_gateway_observed_denials_total`, then remove the call.
