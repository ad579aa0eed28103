use http_body_util::Full;

use super::*;

/// The request's body as the service behind has it.
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
fn an_upload_that_waits_is_woken_and_ends_with_an_error() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.say("a");
    assert_eq!((body.next(), body.next()), (data("a"), Next::Nothing));
    scene.revoke();
    assert_eq!(body.woken(), 1);
    script.say("b");
    assert_eq!((body.next(), body.next()), (Next::Cut("revoked"), Next::End));
    assert_eq!(scene.told(), [("revoked", CutPoint::Upload)]);
}

#[test]
fn nothing_that_comes_after_the_revocation_is_read() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.say("a").say("b");
    assert_eq!(body.next(), data("a"));
    scene.revoke();
    assert_eq!(body.next(), Next::Cut("revoked"));
}

#[test]
fn an_upload_that_is_there_at_once_is_not_registered() {
    let scene = Scene::new();
    let (mut body, script) = upload(&scene);
    script.say("all").end();
    assert_eq!((body.next(), body.next()), (data("all"), Next::End));
    assert_eq!(scene.revocations.running(), 0);
}
