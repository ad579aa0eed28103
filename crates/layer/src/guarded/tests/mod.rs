//! Tests of cuts, part by part, in one thread and without a network. The tests poll each step.

mod handlers;
mod held;
mod responses;
mod uploads;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{
    Admission, Claims, CutPoint, ManualClock, Options, RevocationsWriter, RevokedSignal,
};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};

use crate::{
    BoxError, ConnectionId, CutError, CutOptions, GatewayLayer, GuardedRequestBody,
    GuardedResponseBody,
};

/// A state on a stopped clock.
struct Scene {
    clock: Arc<ManualClock>,
    revocations: RevocationsWriter,
    reports: Arc<Mutex<Vec<(&'static str, CutPoint)>>>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        revocations.confirm(revocations.now());
        Self { clock, revocations, reports: Arc::default() }
    }

    fn revoke(&self) {
        let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
        let message = Message::new(Stream::SessionsRevoke, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        self.revocations.apply(&event, self.revocations.now());
    }

    fn cutting(&self) -> CutOptions {
        let reports = Arc::clone(&self.reports);
        CutOptions::new().on_cut(move |report| {
            assert_eq!(report.zone, Some("z"));
            reports.lock().unwrap().push((report.cut.label(), report.part));
        })
    }

    fn layer(&self) -> GatewayLayer {
        GatewayLayer::new(self.revocations.reader()).with_cutting(self.cutting())
    }

    fn reports(&self) -> Vec<(&'static str, CutPoint)> {
        self.reports.lock().unwrap().clone()
    }
}

fn request() -> Request<Script> {
    let mut claims = Claims::new("ar-1", 1_795_400_000, 1_795_403_600);
    claims.zone_id = Some("z".into());
    let mut request = Request::new(Script::default());
    request.extensions_mut().insert(claims);
    request
}

/// A body that returns the frames that a test gives it, and counts its polls.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<ScriptState>>);

#[derive(Debug, Default)]
struct ScriptState {
    frames: VecDeque<Frame<Bytes>>,
    ended: bool,
    polls: usize,
    waker: Option<Waker>,
}

impl Script {
    fn send(&self, chunk: &str) -> &Self {
        self.push(Frame::data(Bytes::from(chunk.to_owned())))
    }

    fn push(&self, frame: Frame<Bytes>) -> &Self {
        let mut state = self.0.lock().unwrap();
        state.frames.push_back(frame);
        state.waker.take().into_iter().for_each(Waker::wake);
        self
    }

    fn end(&self) -> &Self {
        self.0.lock().unwrap().ended = true;
        self
    }

    fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }

    /// Returns `true` if all other owners dropped the body.
    fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.0.lock().unwrap();
        state.polls += 1;
        match state.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.ended && state.frames.is_empty()
    }
}

/// A task that a test polls. It counts its wakes.
struct Task<T> {
    inner: Pin<Box<T>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The last result of a body.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Data(String),
    Trailers(HeaderMap),
    Cut(&'static str),
    End,
    Nothing,
}

impl<T> Task<T> {
    fn new(inner: T) -> Self {
        Self { inner: Box::pin(inner), woken: Arc::default() }
    }

    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }

    fn poll_with<R>(&mut self, poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> R) -> R {
        let waker = Waker::from(Arc::clone(&self.woken));
        poll(self.inner.as_mut(), &mut Context::from_waker(&waker))
    }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.poll_with(Future::poll)
    }
}

impl<B: Body<Data = Bytes, Error = BoxError>> Task<B> {
    fn next(&mut self) -> Next {
        match self.poll_with(Body::poll_frame) {
            Poll::Pending => Next::Nothing,
            Poll::Ready(None) => Next::End,
            Poll::Ready(Some(Err(error))) => {
                Next::Cut(error.downcast::<CutError>().expect("a cut").cut().label())
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Next::Data(String::from_utf8(data.to_vec()).unwrap()),
                Err(frame) => Next::Trailers(frame.into_trailers().unwrap()),
            },
        }
    }
}

fn data(text: &str) -> Next {
    Next::Data(text.to_owned())
}
