use std::future::pending;

use http_body_util::{BodyExt, Full};
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;

use super::*;
use crate::{RequestDenial, RequestDenialKind};

type Answer = Response<Full<Bytes>>;

/// A handler that owns a value until it is dropped, and never answers.
#[derive(Clone)]
struct Held(Arc<()>);

async fn never_answer(held: Held) -> Result<Answer, Infallible> {
    pending::<()>().await;
    drop(held);
    Ok(Response::default())
}

#[test]
fn drops_waiting_handler_and_answers_client() {
    let scene = Scene::new();
    let held = Held(Arc::default());
    let inner = held.clone();
    let mut service =
        scene.layer().layer(service_fn(move |_: Request<GuardedRequestBody<Script>>| {
            never_answer(inner.clone())
        }));
    let mut request = request();
    request.headers_mut().insert("x-request-id", "req-1".parse().unwrap());
    let mut call = Task::new(service.call(request));
    assert!(call.poll().is_pending());
    assert_eq!((scene.revocations.running(), Arc::strong_count(&held.0)), (1, 3));
    scene.revoke();
    assert_eq!(call.woken(), 1);
    let Poll::Ready(Ok(response)) = call.poll() else { panic!("it still waits") };
    assert_eq!(Arc::strong_count(&held.0), 2, "the handler's future still exists");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["x-request-id"], "req-1");
    let rejection = response.extensions().get::<RequestDenial>().unwrap();
    assert_eq!((rejection.kind(), rejection.zone()), (RequestDenialKind::Revoked, Some("z")));
    let body = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { response.into_body().collect().await.unwrap().to_bytes() });
    assert!(String::from_utf8_lossy(&body).contains("session revoked"));
    assert_eq!(scene.reports(), [("revoked", CutPoint::Handler)]);
    assert_eq!(scene.revocations.running(), 0);
}

#[tokio::test]
async fn denial_of_a_waiting_handler_ends_the_turn_of_an_http2_stream() {
    for (version, ends) in [(Version::HTTP_11, false), (Version::HTTP_2, true)] {
        let scene = Scene::new();
        let mut service =
            scene.layer().layer(service_fn(|_: Request<GuardedRequestBody<Script>>| {
                never_answer(Held(Arc::default()))
            }));
        let mut request = request();
        *request.version_mut() = version;
        let mut call = Task::new(service.call(request));
        assert!(call.poll().is_pending());
        scene.revoke();
        assert!(call.poll().is_ready());
        assert_eq!(!has_budget_remaining(), ends, "{version:?}");
        yield_now().await;
    }
}

#[test]
fn distinguishes_expired_token_from_unknown_state() {
    let cases = [
        (100, CutOptions::new(), RequestDenialKind::Expired, StatusCode::UNAUTHORIZED),
        (
            190,
            CutOptions::new().exp_grace(std::time::Duration::ZERO),
            RequestDenialKind::Expired,
            StatusCode::UNAUTHORIZED,
        ),
        (
            3_600,
            CutOptions::new().when_unknown(),
            RequestDenialKind::Unknown,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ];
    for (exp, cutting, kind, status) in cases {
        let scene = Scene::new();
        let layer = GatewayLayer::new(scene.revocations.clone()).with_cutting(cutting);
        let mut service = layer.layer(service_fn(|_: Request<GuardedRequestBody<Script>>| {
            never_answer(Held(Arc::default()))
        }));
        let mut request = request();
        request.extensions_mut().get_mut::<Claims>().unwrap().exp = 1_795_400_000 + exp;
        let mut call = Task::new(service.call(request));
        assert!(call.poll().is_pending());
        scene.clock.advance(std::time::Duration::from_secs(200));
        scene.revocations.cut_overdue(scene.revocations.now());
        let Poll::Ready(Ok(response)) = call.poll() else { panic!("it still waits") };
        let rejection = response.extensions().get::<RequestDenial>().unwrap();
        assert_eq!((rejection.kind(), response.status()), (kind, status));
    }
}

/// Returns the answer to a gRPC call that was cut while its handler waited.
fn cut_grpc_call(scene: &Scene, layer: GatewayLayer, headers: &[(&'static str, &str)]) -> Head {
    let mut service = layer.layer(service_fn(|_: Request<GuardedRequestBody<Script>>| {
        never_answer(Held(Arc::default()))
    }));
    let mut request = request();
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = Version::HTTP_2;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let mut call = Task::new(service.call(request));
    assert!(call.poll().is_pending());
    scene.revoke();
    let Poll::Ready(Ok(response)) = call.poll() else { panic!("it still waits") };
    let is_empty = response.body().is_end_stream();
    assert_eq!(is_empty, response.headers().contains_key("grpc-status"));
    response.map(drop)
}

type Head = Response<()>;

#[test]
fn cut_grpc_call_gets_only_its_status() {
    let scene = Scene::new();
    let call = [("content-type", "application/grpc"), ("te", "trailers")];
    let response = cut_grpc_call(&scene, scene.layer(), &call);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["content-type"], "application/grpc");
}

#[test]
fn grpc_only_service_needs_no_te() {
    let scene = Scene::new();
    let call = [("content-type", "application/grpc")];
    let response = cut_grpc_call(&scene, scene.layer(), &call);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let scene = Scene::new();
    let response = cut_grpc_call(&scene, scene.layer().grpc_only(), &call);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
}

/// Returns a handler that answers when the test asks for it.
fn answers_later(
    scene: &Scene,
    cutting: CutOptions,
    from_inside: bool,
) -> (tokio::sync::oneshot::Sender<()>, Task<impl Future<Output = Response<Bytes>>>) {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let answered = Arc::new(Mutex::new(Some(answered)));
    let layer = GatewayLayer::new(scene.revocations.clone()).with_cutting(cutting);
    let mut service =
        layer.layer(service_fn(move |request: Request<GuardedRequestBody<Script>>| {
            let answered = answered.lock().unwrap().take().unwrap();
            let signal = request.extensions().get::<Admission>().unwrap().revoked();
            async move {
                if from_inside {
                    signal.insecure_let_handler_finish();
                }
                answered.await.unwrap();
                Ok::<_, Infallible>(Response::new(Full::from("the answer")))
            }
        }));
    let call = service.call(request());
    let call = Task::new(async move {
        let (parts, body) = call.await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    });
    (answer, call)
}

#[test]
fn lets_handler_finish_and_withholds_its_answer() {
    for from_inside in [false, true] {
        let scene = Scene::new();
        let cutting = if from_inside {
            scene.cutting()
        } else {
            scene.cutting().insecure_let_handlers_finish()
        };
        let (answer, mut call) = answers_later(&scene, cutting, from_inside);
        assert!(call.poll().is_pending());
        scene.revoke();
        assert!(call.poll().is_pending());
        assert_eq!(scene.reports(), []);
        answer.send(()).unwrap();
        assert!(call.woken() > 0);
        let Poll::Ready(response) = call.poll() else { panic!("it still waits") };
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(!response.body().windows(6).any(|word| word == b"answer"));
        assert_eq!(scene.reports(), [("revoked", CutPoint::Handler)]);
    }
}

#[test]
fn withholds_answer_that_comes_with_the_revocation() {
    let scene = Scene::new();
    let (answer, mut call) = answers_later(&scene, scene.cutting(), false);
    assert!(call.poll().is_pending());
    answer.send(()).unwrap();
    scene.revoke();
    let Poll::Ready(response) = call.poll() else { panic!("it still waits") };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn answers_at_once_if_the_authority_ends_while_the_handler_is_polled() {
    let scene = Scene::new();
    let mut service =
        scene.layer().layer(service_fn(async |_: Request<GuardedRequestBody<Script>>| {
            scene.revoke();
            never_answer(Held(Arc::default())).await
        }));
    let answer = Task::new(service.call(request())).poll();
    let Poll::Ready(Ok(response)) = answer else { panic!("it still waits") };
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn debug_output_shows_the_options_and_no_request() {
    let layer = Scene::new().layer();
    assert!(format!("{layer:?}").contains("exp_grace: None"), "{layer:?}");
    let mut service = layer.layer(service_fn(|_: Request<GuardedRequestBody<Script>>| {
        never_answer(Held(Arc::default()))
    }));
    assert_eq!(format!("{:?}", service.call(request())), "GuardedFuture { .. }");
}

#[test]
fn signal_informs_task_of_handler() {
    let scene = Scene::new();
    let taken = Arc::new(Mutex::new(None));
    let place = Arc::clone(&taken);
    let mut service =
        scene.layer().layer(service_fn(move |request: Request<GuardedRequestBody<Script>>| {
            *place.lock().unwrap() =
                request.extensions().get::<Admission>().map(Admission::revoked);
            std::future::ready(Ok::<_, Infallible>(Answer::default()))
        }));
    assert!(Task::new(service.call(request())).poll().is_ready());
    let signal: RevokedSignal = taken.lock().unwrap().take().unwrap();
    assert_eq!(signal.cut(), None);
    let mut task = Task::new(signal);
    assert!(task.poll().is_pending());
    scene.revoke();
    assert_eq!(task.woken(), 1);
    let Poll::Ready(cut) = task.poll() else { panic!("the signal is pending") };
    assert_eq!(cut.label(), "revoked");
    assert_eq!(scene.reports(), [("revoked", CutPoint::Signal)]);
}

#[test]
fn observing_cuts_nothing() {
    let scene = Scene::new();
    let layer = scene.layer().insecure_observe_only();
    let mut service = layer.layer(service_fn(|request: Request<GuardedRequestBody<Script>>| {
        let admission = request.extensions().get::<Admission>().unwrap();
        assert_eq!(admission.revoked().cut(), None);
        never_answer(Held(Arc::default()))
    }));
    let mut call = Task::new(service.call(request()));
    assert!(call.poll().is_pending());
    scene.revoke();
    assert_eq!((call.woken(), call.poll().is_pending()), (0, true));
}
