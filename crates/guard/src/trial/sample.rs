//! The service behind the guard: a greeting, and an event stream without an end.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use caracal_revocation::Mandate;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

const EVENT_INTERVAL: Duration = Duration::from_secs(1);

type SampleBody = UnsyncBoxBody<Bytes, Infallible>;

/// Answers an admitted request.
pub(super) fn answer<B>(request: &Request<B>) -> Response<SampleBody> {
    match request.uri().path() {
        "/" => greet(Mandate::of(request.extensions())),
        "/events" => events(),
        _ => {
            let mut response = text("not found: this sample has / and /events\n".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn greet(mandate: Option<&Mandate>) -> Response<SampleBody> {
    let subject = mandate.map_or("nobody", Mandate::subject);
    let session = mandate.map_or("none", |mandate| &mandate.claims().sid);
    text(format!("hello, {subject} ({session})\n"))
}

fn text(text: String) -> Response<SampleBody> {
    let mut response = Response::new(Full::from(text).boxed_unsync());
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn events() -> Response<SampleBody> {
    let ticks = (1_u64, tokio::time::interval(EVENT_INTERVAL));
    let events = stream::unfold(ticks, async |(number, mut ticks)| {
        ticks.tick().await;
        let event = Frame::data(Bytes::from(format!("data: event {number}\n\n")));
        Some((Ok(event), (number + 1, ticks)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
