//! The HTTP service of the trial: keys, tokens and revocations, and the guarded sample.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use caracal_revocation::gateway::{BoxError, CutOptions, GuardedRequestBody, RequestDenial};
use caracal_revocation::mandate::Use;
use caracal_revocation::resource::Requirements;
use caracal_revocation::state::{Checks, Verdict};
use caracal_revocation::wire::{Key, MessageBuilder};
use caracal_revocation::{Claims, InProcess, Publisher, Revocations, Verifier};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::mpsc::UnboundedSender;
use tower::ServiceExt;

use super::activity::Activity;
use super::issuer::{AUDIENCE, Issuer, ZONE};
use super::sample;
use crate::routes::{GuardBody, Profile, RoutePattern, RouteRules, Routed, Routes, Shared};

/// The pause between two looks at the state while a revocation takes effect.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Issues mandates, revokes them, and guards the sample service.
#[derive(Clone)]
pub(super) struct Trial {
    issuer: Issuer,
    publisher: Arc<Publisher>,
    revocations: Revocations,
    guarded: Routed<Incoming>,
    session: Arc<Mutex<Session>>,
    activity: UnboundedSender<Activity>,
}

/// The session of the mandates that are issued now. A revocation begins the next one.
#[derive(Default)]
struct Session {
    number: u64,
    last_revocation: Option<Instant>,
}

impl Trial {
    /// Puts the sample behind a guard that trusts this issuer and reads these streams.
    pub(super) fn new(
        issuer: Issuer,
        streams: &InProcess,
        key: Key,
        revocations: Revocations,
        activity: UnboundedSender<Activity>,
    ) -> Result<Self, BoxError> {
        let verifier = Verifier::builder(issuer.url(), ZONE, AUDIENCE).with_uses(&[Use::Resource]);
        let session = Arc::<Mutex<Session>>::default();
        let cutting = CutOptions::new().on_cut({
            let (session, activity) = (Arc::clone(&session), activity.clone());
            move |report| {
                let since = lock(&session).last_revocation;
                // The program prints no more once it ends.
                let _ = activity.send(Activity::cut(report, since.map(|since| since.elapsed())));
            }
        });
        let routes = Routes {
            shared: Shared {
                verifier: Some(verifier.build(&revocations)?),
                revocations: revocations.clone(),
                profile: Profile::Resource,
                single_use: None,
                #[cfg(feature = "opa")]
                policy: None,
            },
            rules: Vec::new(),
            default: RouteRules {
                pattern: RoutePattern::parse("/*", &[])?,
                requirements: Requirements::new(),
                policy: false,
                anonymous: false,
                deny_after: None,
                cutting,
            },
        };
        let sample = tower::service_fn(|request: Request<GuardedRequestBody<Incoming>>| {
            let response = sample::answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let guarded = Routed::new(&routes, "try", sample);
        let publisher = Arc::new(Publisher::in_process(streams, Some(key)));
        Ok(Self { issuer, publisher, revocations, guarded, session, activity })
    }

    /// Answers a request.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Response<GuardBody> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = match (&method, path.as_str()) {
            (&Method::GET, "/.well-known/jwks.json") => {
                return json(self.issuer.keys().to_owned());
            }
            (&Method::GET, "/token") => self.token(),
            (&Method::POST, "/revoke") => self.revoke().await,
            _ => match self.guarded.oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
        };
        let response = response.unwrap_or_else(|error| {
            let mut response = text(format!("{error}\n"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        });
        let denied = response.extensions().get::<RequestDenial>();
        let denied = denied.map(|denial| denial.kind().label());
        let status = response.status();
        let _ = self.activity.send(Activity::Answered { status, method, path, denied });
        response
    }

    fn token(&self) -> Result<Response<GuardBody>, BoxError> {
        let session = lock(&self.session).name();
        Ok(text(self.issuer.mint(&session)?))
    }

    /// Revokes the session of the mandates issued so far, and waits until the guard denies it.
    async fn revoke(&self) -> Result<Response<GuardBody>, BoxError> {
        let session = {
            let mut current = lock(&self.session);
            let name = current.name();
            current.number += 1;
            current.last_revocation = Some(Instant::now());
            name
        };
        let _ = self.activity.send(Activity::Revoked { session: session.clone() });
        self.publisher.publish(MessageBuilder::revoke(ZONE, "trial").session(&session)).await?;
        let claims = Claims::new(&session, 0, i64::MAX);
        let is_denied = || {
            let verdict =
                self.revocations.decide(&claims, &Checks::default(), self.revocations.now());
            matches!(verdict, Verdict::Denied(_))
        };
        while !is_denied() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(text(format!("revoked {session}\n")))
    }
}

impl Session {
    fn name(&self) -> String {
        format!("session-{}", self.number + 1)
    }
}

fn lock(session: &Mutex<Session>) -> std::sync::MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(text: String) -> Response<GuardBody> {
    typed(text, "text/plain; charset=utf-8")
}

fn json(text: String) -> Response<GuardBody> {
    typed(text, "application/json")
}

fn typed(text: String, kind: &'static str) -> Response<GuardBody> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
