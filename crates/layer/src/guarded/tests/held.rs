//! Responses to HTTP/1.0, which must have a length.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;
use crate::{RequestDenial, RequestDenialKind};

type Answer = Result<Response<GuardedResponseBody<Script>>, Infallible>;

/// Sends an HTTP/1.0 request through `layer`. Returns its future, and the script of the response.
fn start_call(
    layer: &GatewayLayer,
    content_type: &'static str,
) -> (Task<impl Future<Output = Answer> + use<>>, Script) {
    let script = Script::default();
    let body = script.clone();
    let mut service = layer.layer(service_fn(move |_: Request<GuardedRequestBody<Script>>| {
        let response = Response::builder().header("content-type", content_type);
        std::future::ready(Ok::<_, Infallible>(response.body(body.clone()).unwrap()))
    }));
    let mut request = request();
    *request.version_mut() = Version::HTTP_10;
    (Task::new(service.call(request)), script)
}

const TEXT: &str = "text/plain";

fn denied<B>(answer: Poll<Result<Response<B>, Infallible>>) -> (u16, RequestDenialKind) {
    let Poll::Ready(Ok(response)) = answer else { panic!("the future is pending") };
    let rejection = response.extensions().get::<RequestDenial>().expect("a rejection");
    (response.status().as_u16(), rejection.kind())
}

const UNSUPPORTED: (u16, RequestDenialKind) = (505, RequestDenialKind::UnsupportedVersion);

#[tokio::test]
async fn sends_finished_response_with_its_length() {
    let scene = Scene::new();
    let (mut call, script) = start_call(&scene.layer(), TEXT);
    script.send("a");
    assert!(call.poll().is_pending());
    script.send("bc");
    script.push(Frame::trailers(HeaderMap::new())).end();
    assert_eq!(call.woken(), 1);
    let Poll::Ready(Ok(response)) = call.poll() else { panic!("the future is pending") };
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (200, &"3".parse().unwrap())
    );
    drop(call);
    let mut body = Task::new(response.into_body());
    assert_eq!((body.next(), body.next()), (data("abc"), Next::End));
    assert_eq!(scene.revocations.running(), 0);
}

#[tokio::test]
async fn denies_held_response_that_is_cut() {
    let scene = Scene::new();
    let (mut call, script) = start_call(&scene.layer(), TEXT);
    script.send("a");
    assert!(call.poll().is_pending());
    scene.revoke();
    assert_eq!(call.woken(), 1);
    script.send("b").end();
    assert_eq!(denied(call.poll()), (401, RequestDenialKind::Revoked));
    assert_eq!(scene.reports(), [("revoked", CutPoint::Handler)]);
}

#[tokio::test(start_paused = true)]
async fn denies_response_that_does_not_end() {
    let scene = Scene::new();
    let (mut call, script) = start_call(&scene.layer(), TEXT);
    script.send("a");
    assert!(call.poll().is_pending());
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    assert_eq!(denied(call.poll()), UNSUPPORTED);
    assert!(script.is_dropped());
    assert_eq!((scene.revocations.running(), scene.reports()), (0, vec![]));

    let (mut call, script) = start_call(&scene.layer(), "text/event-stream");
    script.send("data: 1\n\n");
    assert_eq!(denied(call.poll()), UNSUPPORTED);
}

#[tokio::test]
async fn denies_held_response_over_one_mebibyte() {
    for (more, is_denied) in [("", false), ("x", true)] {
        let scene = Scene::new();
        let (mut call, script) = start_call(&scene.layer(), TEXT);
        let half = "x".repeat(1 << 19);
        script.send(&half).send(&half).send(more).end();
        match call.poll() {
            answer if is_denied => assert_eq!(denied(answer), UNSUPPORTED),
            Poll::Ready(Ok(response)) => {
                assert_eq!(response.headers()["content-length"], "1048576")
            }
            answer => panic!("{answer:?}"),
        }
    }
}

#[test]
fn streams_to_http10_by_option() {
    let scene = Scene::new();
    let cutting = scene.cutting().insecure_stream_to_http10();
    let (mut call, script) = start_call(&scene.layer().with_cutting(cutting), TEXT);
    let Poll::Ready(Ok(response)) = call.poll() else { panic!("the future is pending") };
    let mut body = Task::new(response.into_body());
    script.send("a");
    assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn counts_denied_response_as_denial() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        let (mut call, _) = start_call(&scene.layer(), "text/event-stream");
        assert_eq!(denied(call.poll()), UNSUPPORTED);
    });
    let counters = snapshotter.snapshot().into_vec().into_iter();
    let counted = counters.filter(|(_, _, _, value)| *value == DebugValue::Counter(1));
    let counted: Vec<_> = counted.map(|(key, ..)| key.key().to_string()).collect();
    assert_eq!(counted, ["Key(caracal_gateway_denials_total, [reason = unsupported_version])"]);
}
