//! Identities through stacked layers: each inner layer uses the admitted identity.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use caracal_revocation::baseline::BaselineFact;
use caracal_revocation::gateway::{Observed, RequestDenial};
use caracal_revocation::mandate::Use;
use caracal_revocation::policy::{
    ClaimsInput, PolicyBundle, PolicyDenial, PolicyLayer, PolicyRequest, PolicySource, RegoEngine,
    Resource, SourceError, ZonePolicies,
};
use caracal_revocation::state::{Hop, Identity, ManualClock, Options, RevocationsWriter};
use caracal_revocation::{
    Admission, Authority, Claims, GatewayLayer, Mandate, ResourceLayer, Verifier,
};
use http::{Request, header};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use crate::issuer::Issuer;
use crate::live::ZONE;

const AUDIENCE: &str = "https://api.example";
const BOSS: &str = "ar-boss";
const NOBODY: &str = "ar-nobody";

/// A state with a manual clock, an issuer, a verifier, and a policy that allows only the boss.
struct World {
    clock: Arc<ManualClock>,
    revocations: RevocationsWriter,
    issuer: Issuer,
    verifier: Verifier,
    policies: ZonePolicies,
}

/// A policy that allows requests of one authority record.
struct OnlyBoss;

impl PolicySource for OnlyBoss {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        let module = r#"package caracal.authz
            import rego.v1
            default result := {"decision": "deny", "evaluation_status": "complete",
                "determining_policies": [], "diagnostics": []}
            result := {"decision": "allow", "evaluation_status": "complete",
                "determining_policies": [], "diagnostics": []} if input.principal.id == "ar-boss""#;
        let bundle = PolicyBundle::new("v1").with_module("authz.rego", module);
        let digest = bundle.compute_digest();
        Ok(Some(bundle.with_digest(digest)))
    }
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Issuer::new(&name, ZONE).unwrap();
        let keys = issuer.clone();
        let app = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        revocations.confirm(revocations.now());
        let verifier = Verifier::builder(&name, ZONE, AUDIENCE)
            .with_uses(&[Use::Gateway, Use::Resource])
            .build(&revocations)
            .unwrap();
        let policies = ZonePolicies::new(revocations.reader(), OnlyBoss, RegoEngine::new());
        Self { clock, revocations, issuer, verifier, policies }
    }

    /// Returns claims of an authority record, with the delegation `edge-<sid>` in its chain.
    fn claims(&self, sid: &str) -> Claims {
        let now = i64::try_from(self.revocations.now().wall.as_secs()).unwrap();
        let mut claims = Claims::new(sid, now, now + 600);
        claims.zone_id = Some(ZONE.into());
        claims.delegation_chain = vec![Hop::new(None, Some(edge(sid).into()))];
        claims
    }

    fn authority(&self, sid: &str) -> Authority {
        self.revocations.authority(&self.claims(sid))
    }

    fn token(&self, sid: &str) -> String {
        let now = self.revocations.now().wall.as_secs();
        let more = json!({
            "iat": now, "exp": now + 600,
            "delegation_chain": [{ "application_id": "app-0", "delegation_edge_id": edge(sid) }],
        });
        self.issuer.mint(sid, AUDIENCE, &more).unwrap()
    }

    fn gateway(&self) -> GatewayLayer {
        GatewayLayer::new(self.revocations.reader())
    }

    fn policy(&self) -> PolicyLayer {
        PolicyLayer::new(self.policies.clone(), ClaimsInput::new(resource()))
    }
}

fn edge(sid: &str) -> String {
    format!("edge-{sid}")
}

fn resource() -> Resource {
    Resource::new("api", "r-1", "https://api.example").with_scope("read")
}

/// The source of the outer layer's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Claims,
    Authority,
    Verifier,
    Resource,
    Unverified,
}

const SOURCES: [Source; 5] =
    [Source::Claims, Source::Authority, Source::Verifier, Source::Resource, Source::Unverified];

/// The service or layer inside the outer layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    Policy,
    /// A gateway layer with a bound of two seconds, which checks delegation chains.
    Gateway,
    Handler,
}

const INNERS: [Inner; 3] = [Inner::Policy, Inner::Gateway, Inner::Handler];

/// Another identity that an unrelated layer puts into the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    Nothing,
    ClaimsBefore,
    ClaimsBetween,
    AuthorityBetween,
}

const FOREIGN: [Foreign; 4] =
    [Foreign::Nothing, Foreign::ClaimsBefore, Foreign::ClaimsBetween, Foreign::AuthorityBetween];

/// One request through an outer layer, with an optional foreign identity.
#[derive(Clone, Copy, Debug)]
struct Case {
    source: Source,
    observe: bool,
    foreign: Foreign,
    inner: Inner,
    own: &'static str,
    other: &'static str,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let mut cases = Vec::new();
        for source in SOURCES {
            for observe in [false, true] {
                for foreign in FOREIGN {
                    // Here the claims are the source itself.
                    if (source, foreign) == (Source::Claims, Foreign::ClaimsBefore) {
                        continue;
                    }
                    for inner in INNERS {
                        for (own, other) in [(BOSS, NOBODY), (NOBODY, BOSS)] {
                            cases.push(Self { source, observe, foreign, inner, own, other });
                        }
                    }
                }
            }
        }
        cases.into_iter()
    }

    /// Returns `true` if two layers gave two identities before the first decision.
    fn conflicts(&self) -> bool {
        (self.source, self.foreign) == (Source::Authority, Foreign::ClaimsBefore)
    }

    /// Returns the identity that the outer layer decides on, if it has one.
    fn identity(&self) -> Option<&'static str> {
        match (self.source, self.foreign) {
            // The layer reads the token only if the request has no claims.
            (Source::Unverified, Foreign::ClaimsBefore) => Some(self.other),
            (Source::Unverified, _) => None,
            _ => Some(self.own),
        }
    }
}

fn insert<T: Clone + Send + Sync + 'static>(app: Router, value: T) -> Router {
    app.layer(MapRequestLayer::new(move |mut request: Request<Body>| {
        request.extensions_mut().insert(value.clone());
        request
    }))
}

/// The status of a response, and the reason of its denial or the handler's text.
#[derive(Debug, PartialEq, Eq)]
struct Outcome(u16, String);

fn outcome(status: u16, text: &str) -> Outcome {
    Outcome(status, text.to_owned())
}

/// Lists the identities in the request.
async fn handler(request: Request<Body>) -> String {
    let extensions = request.extensions();
    let admission = match extensions.get::<Admission>() {
        None => "none",
        Some(admission) => admission.claims().map_or("unverified", |claims| &*claims.sid),
    };
    let claims = extensions.get::<Claims>().map_or("-", |claims| &*claims.sid);
    let authority = extensions.get::<Authority>().map_or("-", |_| "some");
    let mandate = Mandate::of(extensions).map_or("-", |mandate| &*mandate.claims().sid);
    let observed = match extensions.get::<Observed>() {
        None => "-",
        Some(observed) => observed.rejection().map_or("admitted", |why| why.kind().label()),
    };
    format!("{admission} claims={claims} authority={authority} mandate={mandate} {observed}")
}

async fn send_request(app: Router, token: Option<&str>) -> Outcome {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    if let Some(token) = token {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let extensions = response.extensions();
    let text = if let Some(rejection) = extensions.get::<RequestDenial>() {
        rejection.kind().label().to_owned()
    } else if let Some(rejection) = extensions.get::<PolicyDenial>() {
        rejection.kind().label().to_owned()
    } else {
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    Outcome(status, text)
}

impl World {
    async fn run(&self, case: &Case) -> Outcome {
        let app = Router::new().route("/", get(handler));
        let app = match case.inner {
            Inner::Handler => app,
            Inner::Policy => app.layer(self.policy()),
            Inner::Gateway => {
                app.layer(self.gateway().with_deny_after(Duration::from_secs(2)).unwrap())
            }
        };
        let app = match case.foreign {
            Foreign::ClaimsBetween => insert(app, self.claims(case.other)),
            Foreign::AuthorityBetween => insert(app, self.authority(case.other)),
            Foreign::Nothing | Foreign::ClaimsBefore => app,
        };
        // Only the inner layer checks chains, so that each of the two denies something else.
        let gateway = self.gateway().without_chain();
        let resource = ResourceLayer::new(self.verifier.clone()).without_chain();
        let gateway = match case.source {
            Source::Claims | Source::Authority => Some(gateway),
            Source::Verifier => Some(gateway.with_verifier(self.verifier.clone())),
            Source::Unverified => Some(gateway.with_insecure_unverified_claims()),
            Source::Resource => None,
        };
        let app = match (gateway, case.observe) {
            (Some(gateway), false) => app.layer(gateway),
            (Some(gateway), true) => app.layer(gateway.insecure_observe_only()),
            (None, false) => app.layer(resource),
            (None, true) => app.layer(resource.insecure_observe_only()),
        };
        let app = match case.foreign {
            Foreign::ClaimsBefore => insert(app, self.claims(case.other)),
            _ => app,
        };
        match case.source {
            Source::Claims => send_request(insert(app, self.claims(case.own)), None).await,
            Source::Authority => send_request(insert(app, self.authority(case.own)), None).await,
            Source::Verifier | Source::Resource | Source::Unverified => {
                send_request(app, Some(&self.token(case.own))).await
            }
        }
    }
}

#[tokio::test]
async fn inner_layers_decide_on_the_admitted_identity() {
    let world = World::new().await;
    for case in Case::all() {
        let expected = match (case.inner, case.identity()) {
            _ if case.conflicts() && !case.observe => outcome(401, "malformed_claims"),
            (Inner::Policy, _) if case.conflicts() => outcome(403, "not_admitted"),
            (Inner::Gateway, _) if case.conflicts() => outcome(401, "malformed_claims"),
            (Inner::Policy, Some(BOSS)) => {
                let mandate = matches!(case.source, Source::Verifier | Source::Resource);
                let mandate = if mandate { BOSS } else { "-" };
                let observed = if case.observe { "admitted" } else { "-" };
                let seen = format!("{BOSS} claims=- authority=- mandate={mandate} {observed}");
                outcome(200, &seen)
            }
            (Inner::Policy, Some(_)) => outcome(403, "denied"),
            (Inner::Policy, None) => outcome(403, "no_claims"),
            (Inner::Gateway, Some(identity)) => {
                let mandate = matches!(case.source, Source::Verifier | Source::Resource);
                let mandate = if mandate { identity } else { "-" };
                outcome(200, &format!("{identity} claims=- authority=- mandate={mandate} -"))
            }
            (Inner::Gateway, None) => match case.foreign {
                // The token was not verified: the layer uses the claims in the request.
                Foreign::ClaimsBetween | Foreign::AuthorityBetween => {
                    outcome(200, &format!("{} claims=- authority=- mandate=- -", case.other))
                }
                _ => outcome(401, "unverified_token"),
            },
            (Inner::Handler, identity) => {
                // No further layer removes these extensions.
                let claims = match case.foreign {
                    Foreign::ClaimsBetween => case.other,
                    Foreign::ClaimsBefore if case.conflicts() => case.other,
                    _ => "-",
                };
                let authority = match case.foreign {
                    Foreign::AuthorityBetween => "some",
                    _ if case.conflicts() => "some",
                    _ => "-",
                };
                let mandate = matches!(case.source, Source::Verifier | Source::Resource);
                let mandate = if mandate { case.own } else { "-" };
                let observed = match case.observe {
                    false => "-",
                    true if case.conflicts() => "malformed_claims",
                    true => "admitted",
                };
                let identity =
                    if case.conflicts() { "none" } else { identity.unwrap_or("unverified") };
                let seen = format!(
                    "{identity} claims={claims} authority={authority} mandate={mandate} {observed}"
                );
                outcome(200, &seen)
            }
        };
        assert_eq!(world.run(&case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn second_gateway_keeps_its_own_bound() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(3));
    for case in Case::all().filter(|case| case.inner == Inner::Gateway && !case.conflicts()) {
        let has_claims = case.identity().is_some()
            || matches!(case.foreign, Foreign::ClaimsBetween | Foreign::AuthorityBetween);
        let expected =
            if has_claims { outcome(503, "unknown") } else { outcome(401, "unverified_token") };
        assert_eq!(world.run(&case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn second_gateway_checks_the_chain_of_the_admitted_identity() {
    let world = World::new().await;
    world.revocations.add(&BaselineFact::Revoked(&edge(NOBODY)), world.revocations.now());
    for case in Case::all().filter(|case| case.inner == Inner::Gateway && !case.conflicts()) {
        let between = matches!(case.foreign, Foreign::ClaimsBetween | Foreign::AuthorityBetween);
        let decided = case.identity().or(between.then_some(case.other));
        let status = match decided {
            Some(NOBODY) => outcome(401, "revoked").0,
            Some(_) => 200,
            None => 401,
        };
        let seen = world.run(&case).await;
        assert_eq!(seen.0, status, "{case:?} {seen:?}");
        assert_eq!(seen.1 == "revoked", decided == Some(NOBODY), "{case:?} {seen:?}");
    }
}

#[tokio::test]
async fn observe_only_layer_admits_no_identity_it_would_deny() {
    let world = World::new().await;
    world.revocations.add(&BaselineFact::Revoked(NOBODY), world.revocations.now());
    let cases = Case::all()
        .filter(|case| (case.observe, case.foreign, case.own) == (true, Foreign::Nothing, NOBODY));
    for case in cases {
        let expected = match (case.inner, case.source) {
            (Inner::Policy, _) => outcome(403, "not_admitted"),
            (Inner::Gateway, Source::Claims | Source::Authority) => outcome(401, "revoked"),
            (Inner::Gateway, _) => outcome(401, "unverified_token"),
            (Inner::Handler, Source::Claims) => {
                outcome(200, "none claims=ar-nobody authority=- mandate=- revoked")
            }
            (Inner::Handler, Source::Authority) => {
                outcome(200, "none claims=- authority=some mandate=- revoked")
            }
            (Inner::Handler, Source::Verifier | Source::Resource) => {
                outcome(200, "none claims=- authority=- mandate=ar-nobody revoked")
            }
            (Inner::Handler, Source::Unverified) => {
                outcome(200, "none claims=- authority=- mandate=- revoked")
            }
        };
        assert_eq!(world.run(&case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn inner_observe_only_layer_keeps_the_outer_decision() {
    let world = World::new().await;
    world.revocations.add(&BaselineFact::Revoked(&edge(BOSS)), world.revocations.now());
    for verifies in [false, true] {
        let observing = world.gateway().insecure_observe_only();
        let outer = world.gateway().without_chain();
        let outer = if verifies { outer.with_verifier(world.verifier.clone()) } else { outer };
        let app = Router::new()
            .route("/", get(handler))
            .layer(world.policy())
            .layer(observing)
            .layer(outer);
        let (app, token) = if verifies {
            (app, Some(world.token(BOSS)))
        } else {
            (insert(app, world.claims(BOSS)), None)
        };
        let mandate = if verifies { BOSS } else { "-" };
        let seen = format!("{BOSS} claims=- authority=- mandate={mandate} revoked");
        assert_eq!(send_request(app, token.as_deref()).await, outcome(200, &seen));
    }
}

#[tokio::test]
async fn denies_admission_of_another_state() {
    let world = World::new().await;
    let other = RevocationsWriter::with_clock(Options::default(), world.clock.clone());
    other.confirm(other.now());
    let identities: [Identity; 2] =
        [world.claims(BOSS).into(), other.authority(&world.claims(BOSS)).into()];
    for identity in identities {
        let checks = caracal_revocation::state::Checks::default();
        let admission = other.admit(&identity, &checks, other.now(), None).unwrap();
        let app = || Router::new().route("/", get(handler));
        let app_with_policy = insert(app().layer(world.policy()), admission.clone());
        assert_eq!(send_request(app_with_policy, None).await, outcome(403, "other_state"));
        for claims in [false, true] {
            let app = insert(app().layer(world.gateway()), admission.clone());
            let app = if claims { insert(app, world.claims(BOSS)) } else { app };
            assert_eq!(send_request(app, None).await, outcome(401, "other_state"));
        }
        // A layer that verifies has its own identity and decision.
        let verifying = world.gateway().with_verifier(world.verifier.clone());
        let app = insert(app().layer(world.policy()).layer(verifying), admission);
        let token = world.token(NOBODY);
        assert_eq!(send_request(app, Some(&token)).await, outcome(403, "denied"));
    }
    let authority = insert(
        Router::new().route("/", get(handler)).layer(world.gateway()),
        other.authority(&world.claims(BOSS)),
    );
    assert_eq!(send_request(authority, None).await, outcome(401, "other_state"));
}

#[tokio::test]
async fn verifier_removes_identities_of_anonymous_requests() {
    let world = World::new().await;
    let verifying = || world.gateway().with_verifier(world.verifier.clone()).allow_anonymous();
    let app = || Router::new().route("/", get(handler));
    let left = |app: Router| insert(insert(app, world.claims(BOSS)), world.authority(BOSS));
    let seen = send_request(left(app().layer(verifying())), None).await;
    assert_eq!(seen, outcome(200, "none claims=- authority=- mandate=- -"));
    let seen = send_request(left(app().layer(world.gateway()).layer(verifying())), None).await;
    assert_eq!(seen, outcome(401, "missing_token"));
    let seen = send_request(left(app().layer(world.policy()).layer(verifying())), None).await;
    assert_eq!(seen, outcome(403, "not_admitted"));
}

#[tokio::test]
async fn foreign_mandate_does_not_replace_the_admitted_one() {
    let world = World::new().await;
    let verify = async |sid| world.verifier.verify(&world.token(sid)).await.unwrap();
    let (boss, token) = (verify(BOSS).await, world.token(NOBODY));
    let verifying = || world.gateway().with_verifier(world.verifier.clone());
    let app = || Router::new().route("/", get(handler));
    // Insert it before the layer, then behind it.
    let seen = send_request(insert(app().layer(verifying()), boss.clone()), Some(&token)).await;
    assert_eq!(seen, outcome(200, "ar-nobody claims=- authority=- mandate=ar-nobody -"));
    let seen = send_request(insert(app(), boss.clone()).layer(verifying()), Some(&token)).await;
    assert_eq!(seen, outcome(200, "ar-nobody claims=- authority=- mandate=- -"));
    let second = insert(app().layer(world.gateway()), boss.clone()).layer(verifying());
    let seen = send_request(second, Some(&token)).await;
    assert_eq!(seen, outcome(200, "ar-nobody claims=- authority=- mandate=- -"));
    // Without a decision, `Mandate::of` returns the mandate in the extensions.
    let seen = send_request(insert(app(), boss), None).await;
    assert_eq!(seen, outcome(200, "none claims=- authority=- mandate=ar-boss -"));
}
