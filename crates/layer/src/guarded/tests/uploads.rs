use http_body_util::Full;

use super::*;

/// Returns the request's body as the service gets it, and its script.
fn upload(scene: &Scene) -> (Task<GuardedRequestBody<Script>>, Script) {
    let taken = Arc::new(Mutex::new(None));
    let place = Arc::clone(&taken);
    let mut service =
        scene.layer().layer(service_fn(move |request: Request<GuardedRequestBody<Script>>| {
            *place.lock().unwrap() = Some(request.into_body());
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        }));
    let request = request();
    let script = request.body().clone();
    assert!(Task::new(service.call(request)).poll().is_ready());
    let body = taken.lock().unwrap().take().unwrap();
    (Task::new(body), script)
}

#[test]
fn cut_wakes_pending_upload_and_ends_it_with_error() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.send("a");
    assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.woken(), 1);
    script.send("b");
    assert!(!body.inner.is_end_stream());
    assert_eq!((body.next(), body.next()), (Next::Cut("revoked"), Next::End));
    assert!(body.inner.is_end_stream());
    assert_eq!(scene.reports(), [("revoked", CutPoint::Upload)]);
}

#[test]
fn reads_no_upload_after_revocation() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.send("a").send("b");
    assert_eq!(body.next(), data("a"));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn complete_upload_is_not_registered() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.send("all").end();
    assert_eq!((body.next(), body.next()), (data("all"), Next::End));
    assert_eq!(scene.revocations.running(), 0);
}

#[test]
fn upload_has_the_size_and_the_end_of_its_body() {
    for (text, is_end) in [("abc", false), ("", true)] {
        let body = GuardedRequestBody::new(Full::new(Bytes::from(text)), None);
        let size = text.len() as u64;
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(size), is_end));
    }
}
