//! Tower layers that deny revoked Caracal mandates within milliseconds of the revocation.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use caracal_revocation::{Follower, GatewayLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = Follower::from_env()?.spawn(); // REDIS_URL, STREAMS_HMAC_KEY
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(GatewayLayer::new(revocations)); // inside your layer that verifies tokens
//! # Ok(())
//! # }
//! ```
//!
//! New here? Read the [`guide`]: terms, deployment, failures and tuning.
//!
//! # Purpose
//!
//! When an operator revokes a session, rotates a key, changes a policy or ends a delegation, Caracal
//! writes a signed message to Redis Streams. A [`Follower`] reads those streams into a
//! [`Revocations`]: a local state that answers each request in nanoseconds, without I/O.
//! [`GatewayLayer`] denies requests on revoked tokens.
//!
//! # Promise
//!
//! No request is admitted on a token whose revocation was published longer ago than the staleness
//! bound: 60 seconds by default, usually a millisecond. If the service cannot know that, because
//! Redis is away or messages are missing, it answers 503. There are two exceptions: messages that the
//! Redis server acknowledged and then lost itself, and messages that no accepted key has signed.
//!
//! # Who verifies the tokens
//!
//! A resource server puts a [`ResourceLayer`] with a [`Verifier`] in front of its routes. That layer
//! also checks the scopes and delegations that a route requires. A gateway gives a [`Verifier`] to its
//! [`GatewayLayer`]. An STS puts an [`StsLayer`] in front of its token endpoint.
//!
//! If a gateway's own authentication layer verifies tokens, that layer puts [`Claims`] into the
//! request's extensions:
//!
//! ```
//! use caracal_revocation::Claims;
//! # fn verified_payload() -> &'static str {
//! #     r#"{"sid":"ar-1","zone_id":"z-1","iat":1795400000,"exp":1795403600}"#
//! # }
//! let claims: Claims = serde_json::from_str(verified_payload())?;
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(claims);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Claims need `iat` and `exp`, as every mandate has them. Each decision denies a token that has
//! expired, lives longer than [`LONGEST_LIFETIME`], or was issued in the future, with a leeway of
//! [`LEEWAY`]. So no token outlives the memory of its revocation. An [`StsLayer`] leaves these checks to
//! the STS, which makes them on the same token.
//!
//! # In tests, and without Redis
//!
//! [`InProcess`] replaces Redis inside one process. Its messages are signed as Caracal's are. A
//! [`Publisher`] writes to either.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `aws_lc_rs` | yes | jsonwebtoken's AWS-LC backend for a [`Verifier`]; without it, pass a backend to [`VerifierBuilder::with_crypto`] |
//! | `axum` | no | [`Mandate`] and `Option<Mandate>` as extractors |
//! | `prometheus` | no | `Exporter`, for a service without a metrics exporter |
//! | `tls` | yes | `rediss://` and keys over HTTPS, with the operating system's certificates |
//! | `postgres` | no | `Postgres`: Caracal's own tables as a baseline, for [`Follower::with_baseline`] |
//! | `ws` | no | `GuardedWebSocket` for axum: it closes once its authority has ended |
//! | `opa` | no | the module `opa`: policies per zone, evaluated in the process or by an OPA server (needs Rust 1.95) |

pub mod guide;

pub use caracal_revocation_effects::{Delivery, EffectError, EffectFailure, EffectRunner};
pub use caracal_revocation_event::{
    Anchor, CANARY_STREAM, Change, DecidedAt, DelegationEpoch, DelegationEvent, Effect, Event, Key,
    KeyError, KeyRing, KeySlot, Message, Notice, OccurredAt, ParseStreamIdError, PolicyReload,
    Rejection as MessageRejection, RejectionKind as MessageRejectionKind, Resumption, SEAL_LEN,
    Stream, StreamId, Suspension, Zone, sign, sign_canary, sign_dead_letter,
};
#[cfg(feature = "ws")]
pub use caracal_revocation_layer::GuardedWebSocket;
pub use caracal_revocation_layer::{
    BoxError, CutError, Cutting, GatewayLayer, Guarded, GuardedBody, GuardedFuture, GuardedUpload,
    LAG_BUCKETS, Observed, Operations, Rejection, RejectionKind, ResourceLayer,
    ResourceMetadataError, Sts, StsBody, StsFuture, StsLayer,
};
#[cfg(feature = "prometheus")]
pub use caracal_revocation_layer::{Exporter, ExporterError};
#[cfg(feature = "axum")]
pub use caracal_revocation_mandate::MissingMandate;
pub use caracal_revocation_mandate::{
    ConfigError, Invalid, KeysUnavailable, Mandate, Requirements, SubjectType, Unmet, Use,
    Verifier, VerifierBuilder, VerifyError,
};
#[cfg(feature = "postgres")]
pub use caracal_revocation_postgres::{Postgres, PostgresError};
pub use caracal_revocation_state::{
    Admission, Admitted, AnchorKind, Authority, BoundError, Checks, Claims, Clock, Cut, CutPart,
    CutReport, Degraded, Hop, Identity, Image, Known, LEEWAY, LONGEST_LIFETIME, Losses,
    ManualClock, Moment, NotAdmitted, NotReady, Options, Outage, PolicyChanges, PolicyInvalidation,
    Readiness, Reason, RecallError, Refusal, Revocations, RevocationsWriter, RevokedSignal,
    SystemClock, Text, Unknown, Unready, Verdict, ZoneView,
};
pub use caracal_revocation_stream::{
    Baseline, BaselineError, BaselineFuture, Canary, CanarySight, DeadLetter, Follower, InProcess,
    Mode, NotADeadLetter, PublishError, Publisher, Reload, Scope, Settings, SettingsError, acl,
};

/// Inspection and provisioning of a Redis server, as `caracal-streams` does it.
pub mod inspect {
    pub use caracal_revocation_admin::{
        Inspector, KeyReport, Provision, Provisioned, ReplayError, StreamLayout, StreamReport,
        verify_letter,
    };
    pub use caracal_revocation_stream::{InspectError, InspectErrorKind};
}

/// Policies per zone: loaded again when they are invalidated, with a known age, evaluated per request.
#[cfg(feature = "opa")]
pub mod opa {
    pub use caracal_revocation_layer::{
        BuildInput, ClaimsInput, PolicyFuture, PolicyGuard, PolicyLayer, PolicyRejection,
        PolicyRejectionKind, RequestFacts,
    };
    pub use caracal_revocation_opa::{
        BoxFuture, BrokenBundle, Effect, Evaluation, EvaluationError, InvalidInput, NoDecision,
        OpaEngine, OpaServer, OpaServerError, PolicyBundle, PolicyDecision, PolicyEngine,
        PolicyInput, PolicyOptions, PolicyRequest, PolicySource, PrepareError, PreparedPolicy,
        Principal, RegoEngine, Resource, SourceError, Trouble, Unusable, ZonePolicies, ZoneStatus,
    };
}
