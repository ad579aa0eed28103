//! The end of a response that is cut while it streams: the final frames of its protocol.

use std::time::Duration;

use bytes::Bytes;
use caracal_revocation_state::{Cut, CutPoint};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::Body;
use serde::Serialize;

use super::event_stream::Position;
use crate::RequestDenial;
use crate::answer::{ClientCapabilities, GrpcStatus, Profile, is_grpc};
use crate::limits::HTTP2_FLUSH;

const X_CARACAL_REVOKED: HeaderName = HeaderName::from_static("x-caracal-revoked");

/// The properties of a response that decide its final frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Termination {
    profile: Profile,
    kind: Kind,
    /// `true` if the client accepts the trailer, and it was announced.
    trailer: bool,
    /// `true` for HTTP/2: a frame leaves only after the stream's task has run.
    is_over_http2: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Grpc,
    Events(Position),
}

/// The final frames of a response that was cut, in this order.
#[derive(Debug)]
pub(super) struct FinalFrames {
    pub(super) event: Option<Bytes>,
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) enum End {
    /// The body ends without more frames, after a denial or after trailers.
    Clean,
    Trailers(Box<HeaderMap>),
    /// The body ends with an error, so that the client does not treat the first part as the whole.
    Broken(Cut),
    /// The body ends with an error, once the frames before it had time to reach the client.
    BrokenAfter(Cut, Flush),
}

/// The time that the frames before an error have to leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flush {
    /// The frames have until the body is pending: the server then flushes.
    AtOnce,
    After(Duration),
}

impl Termination {
    /// Chooses the termination, and announces the trailer if there may be one.
    pub(super) fn prepare<B: Body>(
        client: &ClientCapabilities,
        profile: Profile,
        response: &mut Response<B>,
    ) -> Self {
        let is_over_http2 = client.version >= Version::HTTP_2;
        if response.version() < Version::HTTP_11 && client.version >= Version::HTTP_11 {
            // hyper ends an older response by closing the connection: a cut would look complete.
            *response.version_mut() = client.version;
        }
        if knows_length(response) && !client.grpc {
            // Fast path for most responses: the headers do not matter.
            return Self { profile, kind: Kind::Plain, trailer: false, is_over_http2 };
        }
        let headers = response.headers();
        // After an announced length, a trailer would contradict it and an event could complete it.
        let has_length = has_length(response);
        let kind = if client.grpc && is_grpc(headers) {
            Kind::Grpc
        } else if is_event_stream(headers) && !has_length {
            Kind::Events(Position::default())
        } else {
            Kind::Plain
        };
        let trailer = client.takes_trailers
            && client.version >= Version::HTTP_11
            && !has_length
            && may_have_body(client, response);
        if trailer && !matches!(kind, Kind::Grpc) {
            response.headers_mut().append(TRAILER, HeaderValue::from_static("x-caracal-revoked"));
        }
        Self { profile, kind, trailer, is_over_http2 }
    }

    /// Updates the position after a chunk that was passed on.
    pub(super) fn sent(&mut self, chunk: &[u8]) {
        if let Kind::Events(position) = &mut self.kind {
            *position = position.after(chunk);
        }
    }

    pub(super) const fn is_over_http2(&self) -> bool {
        self.is_over_http2
    }

    pub(super) const fn part(&self) -> CutPoint {
        match self.kind {
            Kind::Plain => CutPoint::Response,
            Kind::Grpc => CutPoint::Grpc,
            Kind::Events(_) => CutPoint::EventStream,
        }
    }

    pub(super) fn final_frames(&self, cut: Cut) -> FinalFrames {
        if matches!(self.kind, Kind::Grpc) {
            let mut trailers = grpc_trailers(self.profile, cut);
            trailers.insert(X_CARACAL_REVOKED, HeaderValue::from_static("true"));
            return FinalFrames { event: None, end: End::Trailers(Box::new(trailers)) };
        }
        let event = match self.kind {
            Kind::Events(position) if position.is_boundary() => Some(revoked_event(cut)),
            _ => None,
        };
        let end = if self.trailer {
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert(X_CARACAL_REVOKED, HeaderValue::from_static("true"));
            End::Trailers(Box::new(trailers))
        } else if event.is_some() {
            let flush = if self.is_over_http2 { Flush::After(HTTP2_FLUSH) } else { Flush::AtOnce };
            End::BrokenAfter(cut, flush)
        } else {
            End::Broken(cut)
        };
        FinalFrames { event, end }
    }
}

/// The way in which an HTTP/1.0 client finds the end of a response. Without a length, the client
/// takes the end of the connection for the end of the response, even after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimited {
    /// The response has a length, or no body.
    Already,
    /// The response gets a length once it has ended.
    Later,
    /// The response has no end.
    Never,
}

pub(super) fn delimited<B: Body>(client: &ClientCapabilities, response: &Response<B>) -> Delimited {
    let is_empty = response.body().is_end_stream() || !may_have_body(client, response);
    if is_empty || has_length(response) {
        Delimited::Already
    } else if is_event_stream(response.headers()) {
        Delimited::Never
    } else {
        Delimited::Later
    }
}

fn knows_length<B: Body>(response: &Response<B>) -> bool {
    response.body().size_hint().exact().is_some()
}

fn has_length<B: Body>(response: &Response<B>) -> bool {
    knows_length(response) || response.headers().contains_key(CONTENT_LENGTH)
}

fn may_have_body<B>(client: &ClientCapabilities, response: &Response<B>) -> bool {
    let status = response.status();
    !client.head_only
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Returns `true` for an event stream that is not compressed. The layer cannot insert an event into
/// a compressed one.
fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let (name, rest) = value.split_at_checked(EVENT_STREAM.len()).unwrap_or_default();
    name.eq_ignore_ascii_case(EVENT_STREAM)
        && matches!(rest.first(), None | Some(b';' | b' '))
        && !headers.contains_key(CONTENT_ENCODING)
}

fn grpc_trailers(profile: Profile, cut: Cut) -> HeaderMap {
    let rejection = RequestDenial::cut(cut);
    let answer = profile.answer(rejection.kind());
    let status = GrpcStatus {
        code: answer.grpc_code(),
        message: answer.description,
        reason: cut.label(),
        metadata: &[("error", answer.error)],
    };
    let mut trailers = HeaderMap::with_capacity(4);
    status.write(&mut trailers);
    trailers
}

/// The last event of a stream.
#[derive(Serialize)]
struct RevokedEvent {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<&'static str>,
}

fn revoked_event(cut: Cut) -> Bytes {
    let event =
        RevokedEvent { reason: cut.label(), anchor: cut.anchor().map(|anchor| anchor.label()) };
    // Strings always serialize, and JSON holds no line break.
    let data = serde_json::to_string(&event).unwrap_or_default();
    format!("event: revoked\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Method, Request};
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    /// Returns a response whose body has no known length.
    fn response(status: u16, headers: &[(HeaderName, &'static str)]) -> Response<impl Body> {
        let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
        let mut response = Response::new(StreamBody::new(frames));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn client(method: Method, version: Version) -> ClientCapabilities {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.version_mut() = version;
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        ClientCapabilities::of(&request, false)
    }

    #[test]
    fn response_of_unknown_length_is_held_until_it_has_one() {
        let get = client(Method::GET, Version::HTTP_10);
        for (status, headers, expected) in [
            (200, &[][..], Delimited::Later),
            (200, &[(CONTENT_TYPE, "text/event-stream")], Delimited::Never),
            (200, &[(CONTENT_LENGTH, "7")], Delimited::Already),
            (204, &[], Delimited::Already),
            (304, &[], Delimited::Already),
            (101, &[], Delimited::Already),
            (404, &[], Delimited::Later),
        ] {
            assert_eq!(delimited(&get, &response(status, headers)), expected, "{status}");
        }
        let head = client(Method::HEAD, Version::HTTP_10);
        assert_eq!(delimited(&head, &response(200, &[])), Delimited::Already);
        let empty = Response::new(Empty::<Bytes>::new());
        assert_eq!(delimited(&get, &empty), Delimited::Already);
    }

    #[test]
    fn event_stream_is_recognized_by_its_content_type() {
        for (headers, expected) in [
            (&[(CONTENT_TYPE, "text/event-stream")][..], true),
            (&[(CONTENT_TYPE, "Text/Event-Stream; charset=utf-8")], true),
            (&[(CONTENT_TYPE, "text/event-stream ;a=b")], true),
            (&[(CONTENT_TYPE, "text/event-streams")], false),
            (&[(CONTENT_TYPE, "text/event")], false),
            (&[(CONTENT_TYPE, "application/json; text/event-stream")], false),
            (&[(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, "gzip")], false),
            (&[], false),
        ] {
            let response = response(200, headers);
            assert_eq!(is_event_stream(response.headers()), expected, "{headers:?}");
        }
    }

    #[test]
    fn trailer_is_announced_where_the_response_can_carry_it() {
        for (method, version, status, headers, announced) in [
            (Method::GET, Version::HTTP_11, 200, &[][..], true),
            (Method::GET, Version::HTTP_2, 200, &[], true),
            (Method::GET, Version::HTTP_10, 200, &[], false),
            (Method::HEAD, Version::HTTP_11, 200, &[], false),
            (Method::GET, Version::HTTP_11, 204, &[], false),
            (Method::GET, Version::HTTP_11, 304, &[], false),
            (Method::GET, Version::HTTP_11, 200, &[(CONTENT_LENGTH, "7")], false),
        ] {
            let mut response = response(status, headers);
            let client = client(method.clone(), version);
            let termination = Termination::prepare(&client, Profile::Gateway, &mut response);
            assert_eq!(termination.trailer, announced, "{method} {version:?} {status}");
            assert_eq!(response.headers().contains_key(TRAILER), announced);
            assert_eq!(termination.is_over_http2, version == Version::HTTP_2);
        }
    }

    #[test]
    fn only_a_grpc_response_to_a_grpc_call_ends_like_one() {
        for (is_call, content_type, expected) in [
            (true, "application/grpc", CutPoint::Grpc),
            (true, "application/json", CutPoint::Response),
            (false, "application/grpc", CutPoint::Response),
        ] {
            let mut client = client(Method::POST, Version::HTTP_2);
            client.grpc = is_call;
            let headers = [(CONTENT_TYPE, content_type)];
            let mut response = response(200, &headers);
            let termination = Termination::prepare(&client, Profile::Gateway, &mut response);
            assert_eq!(termination.part(), expected, "{is_call}, {content_type}");
        }
    }

    #[test]
    fn response_of_known_length_gets_neither_trailer_nor_event() {
        for (is_call, content_type, expected) in [
            (false, "text/event-stream", CutPoint::Response),
            (true, "application/grpc", CutPoint::Grpc),
        ] {
            let mut client = client(Method::POST, Version::HTTP_2);
            client.grpc = is_call;
            let mut response = Response::new(Full::new(Bytes::from("abc")));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            let termination = Termination::prepare(&client, Profile::Gateway, &mut response);
            assert_eq!(termination.part(), expected, "{content_type}");
            assert!(!termination.trailer && !response.headers().contains_key(TRAILER));
        }
    }

    #[test]
    fn older_response_gets_the_version_of_the_client() {
        for (client_version, own, expected) in [
            (Version::HTTP_11, Version::HTTP_10, Version::HTTP_11),
            (Version::HTTP_2, Version::HTTP_10, Version::HTTP_2),
            (Version::HTTP_2, Version::HTTP_11, Version::HTTP_11),
            (Version::HTTP_10, Version::HTTP_09, Version::HTTP_09),
            (Version::HTTP_10, Version::HTTP_10, Version::HTTP_10),
        ] {
            let mut response = response(200, &[]);
            *response.version_mut() = own;
            let client = client(Method::GET, client_version);
            Termination::prepare(&client, Profile::Gateway, &mut response);
            assert_eq!(response.version(), expected, "{client_version:?} {own:?}");
        }
    }
}
