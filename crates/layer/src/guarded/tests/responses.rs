use http_body_util::Full;
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;

use super::*;
use crate::limits::HTTP2_FLUSH;

/// Sends a request with these headers through a layer, to a service that answers with the headers
/// `answered`. Returns the response, its body, and the script of the service's body.
pub(super) fn respond(
    scene: &Scene,
    version: Version,
    request_headers: &[(&'static str, &'static str)],
    answered: &[(&'static str, &'static str)],
) -> (Response<()>, Task<GuardedResponseBody<Script>>, Script) {
    respond_through(&scene.layer(), version, request_headers, answered)
}

fn respond_through(
    layer: &GatewayLayer,
    version: Version,
    request_headers: &[(&'static str, &'static str)],
    answered: &[(&'static str, &'static str)],
) -> (Response<()>, Task<GuardedResponseBody<Script>>, Script) {
    let script = Script::default();
    let body = script.clone();
    let answered = answered.to_vec();
    let mut service = layer.layer(service_fn(move |_: Request<GuardedRequestBody<Script>>| {
        let mut response = Response::new(body.clone());
        for (name, value) in &answered {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let mut request = request();
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = version;
    for (name, value) in request_headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let Poll::Ready(Ok(response)) = Task::new(service.call(request)).poll() else {
        panic!("nothing here waits");
    };
    drop(service);
    let (parts, body) = response.into_parts();
    (Response::from_parts(parts, ()), Task::new(body), script)
}

const TRAILERS: (&str, &str) = ("te", "trailers");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
const EVENT: &str = "event: revoked\ndata: {\"reason\":\"revoked\",\"anchor\":\"sid\"}\n\n";

fn revoked_trailer() -> Next {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-caracal-revoked", "true".parse().unwrap());
    Next::Trailers(trailers)
}

#[test]
fn cut_wakes_idle_response_and_breaks_it_off() {
    let scene = Scene::new();
    let (head, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[]);
    assert!(!head.headers().contains_key("trailer"));
    script.send("a");
    assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
    assert_eq!(body.woken(), 0);
    scene.revoke();
    assert_eq!(body.woken(), 1);
    let polls = script.polls();
    assert_eq!((body.next(), body.next()), (Next::Cut("revoked"), Next::End));
    assert_eq!(script.polls(), polls, "the body of the service was polled again");
    assert!(script.is_dropped());
    assert_eq!(scene.reports(), [("revoked", CutPoint::Response)]);
    assert_eq!(scene.revocations.running(), 0);
}

#[test]
fn drops_chunk_that_was_not_passed_on() {
    let scene = Scene::new();
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[]);
    script.send("a").send("b");
    assert_eq!(body.next(), data("a"));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

/// A body that revokes its own authority while it produces a chunk.
struct Late(Scene);

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.revoke();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("late")))))
    }
}

#[test]
fn drops_chunk_produced_during_revocation() {
    let scene = Scene::new();
    let layer = scene.layer();
    let body = Arc::new(Mutex::new(Some(Late(scene))));
    let mut service = layer.layer(service_fn(move |_: Request<GuardedRequestBody<Script>>| {
        let body = body.lock().unwrap().take().unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let Poll::Ready(Ok(response)) = Task::new(service.call(request())).poll() else { panic!() };
    assert_eq!(Task::new(response.into_body()).next(), Next::Cut("revoked"));
}

#[test]
fn cuts_response_that_waits_only_for_trailers() {
    let scene = Scene::new();
    let (_, mut body, script) = respond(&scene, Version::HTTP_2, &[], &[]);
    script.send("all");
    assert_eq!((body.next(), body.next()), (data("all"), Next::Nothing));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    script.push(Frame::trailers(trailers));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[tokio::test(start_paused = true)]
async fn cut_ends_the_turn_of_an_http2_stream() {
    let turn_has_ended = || !has_budget_remaining();
    for (version, answered, ends) in [
        (Version::HTTP_11, [].as_slice(), false),
        (Version::HTTP_2, &[], true),
        (Version::HTTP_2, &[EVENTS], true),
    ] {
        let scene = Scene::new();
        let (_, mut body, _) = respond(&scene, version, &[], answered);
        assert_eq!(body.next(), Next::Nothing);
        scene.revoke();
        yield_now().await;
        assert!(!turn_has_ended());
        assert_ne!(body.next(), Next::Nothing);
        assert_eq!(turn_has_ended(), ends, "{version:?}");
        if !answered.is_empty() {
            // The reset comes some time after the event.
            assert_eq!(body.next(), Next::Nothing);
            tokio::time::sleep(HTTP2_FLUSH).await;
            assert!(!turn_has_ended());
            assert_eq!(body.next(), Next::Cut("revoked"));
            assert!(turn_has_ended());
        }
    }
}

#[test]
fn streams_of_one_http2_connection_are_woken_one_after_the_other() {
    /// Records the connection of its stream.
    struct Records(u32, std::sync::mpsc::Sender<u32>);
    impl Wake for Records {
        fn wake(self: Arc<Self>) {
            let _ = self.1.send(self.0);
        }
    }
    let scene = Scene::new();
    let mut service = scene.layer().layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Script::default()))
    }));
    let (sender, woken) = std::sync::mpsc::channel();
    let mut bodies = Vec::new();
    // As in a service, requests come on each connection in turn.
    for connection in (1..=2).cycle().take(20) {
        let mut request = request();
        *request.version_mut() = Version::HTTP_2;
        request.extensions_mut().insert(ConnectionId::new(connection));
        let Poll::Ready(Ok(response)) = Task::new(service.call(request)).poll() else { panic!() };
        let mut body = Box::pin(response.into_body());
        let waker = Waker::from(Arc::new(Records(connection, sender.clone())));
        assert!(body.as_mut().poll_frame(&mut Context::from_waker(&waker)).is_pending());
        bodies.push(body);
    }
    scene.revoke();
    let mut order: Vec<_> = woken.try_iter().collect();
    assert_eq!(order.len(), bodies.len());
    order.dedup();
    assert_eq!(order, [1, 2]);
}

#[test]
fn announces_and_sends_trailer_to_client_that_accepts_it() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let scene = Scene::new();
        let own = [("trailer", "x-checksum")];
        let (head, mut body, script) = respond(&scene, version, &[TRAILERS], &own);
        let announced: Vec<_> = head.headers().get_all("trailer").iter().collect();
        assert_eq!(announced, ["x-checksum", "x-caracal-revoked"]);
        script.send("a");
        assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
        scene.revoke();
        assert_eq!((body.next(), body.next()), (revoked_trailer(), Next::End));
    }
}

#[test]
fn response_with_announced_length_never_ends_cleanly() {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let scene = Scene::new();
        let answered = [("content-length", "10")];
        let (head, mut body, script) = respond(&scene, version, &[TRAILERS], &answered);
        assert!(!head.headers().contains_key("trailer"));
        script.send("a");
        assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
        scene.revoke();
        assert_eq!(body.next(), Next::Cut("revoked"), "{version:?}");
    }
}

#[test]
fn sends_trailer_through_proxy_only_by_option() {
    let marks = [("via", "1.1 p"), ("forwarded", "for=a"), ("x-forwarded-proto", "http")];
    for mark in marks {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let scene = Scene::new();
            let (head, mut body, _) = respond(&scene, version, &[TRAILERS, mark], &[]);
            assert!(!head.headers().contains_key("trailer"), "{mark:?}");
            assert_eq!(body.next(), Next::Nothing);
            scene.revoke();
            assert_eq!(body.next(), Next::Cut("revoked"), "{mark:?}");
        }
        let scene = Scene::new();
        let layer = scene.layer().with_cutting(scene.cutting().trailer_through_proxies());
        let request_headers = [TRAILERS, mark];
        let (_, mut body, _) = respond_through(&layer, Version::HTTP_11, &request_headers, &[]);
        assert_eq!(body.next(), Next::Nothing);
        scene.revoke();
        assert_eq!(body.next(), revoked_trailer(), "{mark:?}");
    }
}

#[test]
fn without_trailer_breaks_off_every_response() {
    let scene = Scene::new();
    let layer = scene.layer().with_cutting(scene.cutting().without_trailer());
    let (head, mut body, _) = respond_through(&layer, Version::HTTP_11, &[TRAILERS], &[]);
    assert!(!head.headers().contains_key("trailer"));
    assert_eq!(body.next(), Next::Nothing);
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn inserts_event_only_without_announced_length() {
    let scene = Scene::new();
    let sized = [EVENTS, ("content-length", "100")];
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &sized);
    script.send("data: 1\n\n");
    assert_eq!((body.next(), body.next()), (data("data: 1\n\n"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn inserts_revoked_event_between_two_events() {
    let scene = Scene::new();
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[EVENTS]);
    script.send("data: 1\n\n");
    assert_eq!((body.next(), body.next()), (data("data: 1\n\n"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.woken(), 1);
    assert_eq!(body.next(), data(EVENT));
    // The body is pending once, so that the event leaves before the connection is closed.
    assert_eq!((body.next(), body.woken()), (Next::Nothing, 1));
    assert_eq!(body.next(), Next::Cut("revoked"));
    assert_eq!(scene.reports(), [("revoked", CutPoint::EventStream)]);
}

#[test]
fn inserts_no_event_within_another() {
    for chunk in ["data: 1\n", "data: 1", "data: 1\n\ndata:"] {
        let scene = Scene::new();
        let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[EVENTS]);
        script.send(chunk);
        assert_eq!((body.next(), body.next()), (data(chunk), Next::Nothing));
        scene.revoke();
        assert_eq!(body.next(), Next::Cut("revoked"));
    }
    let scene = Scene::new();
    let compressed = [EVENTS, ("content-encoding", "gzip")];
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &compressed);
    script.send("\n\n");
    assert_eq!((body.next(), body.next()), (data("\n\n"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn event_stream_ends_with_trailer_if_client_accepts_it() {
    let scene = Scene::new();
    let events = [("content-type", "text/event-stream; charset=utf-8")];
    let (_, mut body, _) = respond(&scene, Version::HTTP_11, &[TRAILERS], &events);
    assert_eq!(body.next(), Next::Nothing);
    scene.revoke();
    assert_eq!((body.next(), body.next()), (data(EVENT), revoked_trailer()));
}

#[test]
fn grpc_ends_with_its_status() {
    let scene = Scene::new();
    let grpc = ("content-type", "application/grpc");
    let (head, mut body, _) = respond(&scene, Version::HTTP_2, &[grpc, TRAILERS], &[grpc]);
    assert!(!head.headers().contains_key("trailer"));
    assert_eq!(body.next(), Next::Nothing);
    scene.revoke();
    let Next::Trailers(trailers) = body.next() else { panic!("no trailers") };
    assert_eq!(trailers["grpc-status"], "16");
    assert_eq!(trailers["grpc-message"], "session revoked");
    assert_eq!(trailers["x-caracal-revoked"], "true");
    assert_eq!(scene.reports(), [("revoked", CutPoint::Grpc)]);
}

#[test]
fn complete_response_is_not_registered() {
    let scene = Scene::new();
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[]);
    script.send("all").end();
    assert_eq!(body.next(), data("all"));
    assert_eq!(scene.revocations.running(), 0);
    scene.revoke();
    assert!(body.inner.is_end_stream(), "a complete response ends complete");
    assert_eq!((body.next(), scene.reports()), (Next::End, vec![]));
}

#[test]
fn endless_response_is_registered_though_never_pending() {
    let scene = Scene::new();
    let (_, mut body, script) = respond(&scene, Version::HTTP_11, &[], &[]);
    script.send("a").send("b").send("c");
    assert_eq!(body.next(), data("a"));
    assert_eq!(scene.revocations.running(), 1);
}

#[test]
fn disabled_cutting_cuts_nothing() {
    let scene = Scene::new();
    let script = Script::default();
    let body = script.clone();
    let layer = GatewayLayer::new(scene.revocations.clone())
        .with_cutting(CutOptions::new().insecure_disabled());
    let stored = Arc::new(Mutex::new(None));
    let place = Arc::clone(&stored);
    let mut service =
        layer.layer(service_fn(move |request: Request<GuardedRequestBody<Script>>| {
            *place.lock().unwrap() =
                request.extensions().get::<Admission>().map(Admission::revoked);
            std::future::ready(Ok::<_, Infallible>(Response::new(body.clone())))
        }));
    let Poll::Ready(Ok(response)) = Task::new(service.call(request())).poll() else { panic!() };
    let mut body = Task::new(response.into_body());
    assert_eq!(body.next(), Next::Nothing);
    scene.revoke();
    script.send("on");
    assert_eq!(body.next(), data("on"));
    let mut signal = Task::new(stored.lock().unwrap().take().unwrap());
    assert!(signal.poll().is_pending(), "the signal of a request that is never cut is pending");
}

#[test]
fn response_has_the_size_and_the_end_of_what_it_sends() {
    for (text, is_end) in [("abc", false), ("", true)] {
        let whole = GuardedResponseBody::inner(Full::new(Bytes::from(text)));
        let own = GuardedResponseBody::<Full<Bytes>>::complete(text.into());
        for body in [whole, own] {
            let size = text.len() as u64;
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(size), is_end));
        }
    }
}
