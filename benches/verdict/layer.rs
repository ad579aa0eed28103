//! A request through the layer.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use caracal_revocation::state::{Options, RevocationsWriter};
use caracal_revocation::{Claims, GatewayLayer};
use caracal_test_support::figures::median;
use caracal_test_support::services::Empty;
use caracal_test_support::tokens::{self, id};
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, Service};

use crate::structures::revoke;
use crate::{TOKENS, nanos, shown};

/// Rounds of the layer.
const ROUNDS: usize = 5;

/// Measures the layer around an empty service, and that service alone.
pub(crate) fn measure(entries: u64, figures: &mut Vec<Value>) {
    let revocations = RevocationsWriter::new(Options::default());
    revoke(&revocations, &(0..entries).map(id).collect::<Vec<_>>());
    revocations.confirm(revocations.now());
    let mut empty = Empty;
    let mut layered = GatewayLayer::new(revocations.reader()).layer(empty);
    let mut unknown = tokens::tokens(TOKENS, 0);
    let mut revoked = tokens::tokens(TOKENS, entries);
    // Few enough to build all requests beforehand.
    unknown.truncate(4_096);
    revoked.truncate(4_096);
    let (mut alone, mut admitted, mut denied) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(serve(&mut empty, &unknown, true));
        admitted.push(serve(&mut layered, &unknown, true));
        if entries > 0 {
            denied.push(serve(&mut layered, &revoked, false));
        }
    }
    let (alone, admitted, denied) = (median(&alone), median(&admitted), median(&denied));
    println!("{:<30}{entries:>9}{alone:>12.1}{:>9}{:>12}", "empty service", "", "");
    let added = admitted - alone;
    println!(
        "{:<30}{entries:>9}{admitted:>12.1}{:>9}{added:>12.1}",
        "with the layer",
        shown(denied)
    );
    figures.push(json!({
        "name": format!("a request through the layer, {entries} entries"),
        "value": admitted,
        "unit": "ns",
        "peer": null,
        "floor": alone,
        "ratio": admitted / alone,
    }));
}

fn serve<S, B>(service: &mut S, tokens: &[Claims], succeeds: bool) -> f64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    let requests: Vec<_> = tokens.iter().map(request).collect();
    let start = Instant::now();
    for request in requests {
        assert!(service.poll_ready(&mut context).is_ready());
        let response = pin!(service.call(request)).poll(&mut context);
        let Poll::Ready(Ok(response)) = response else { panic!("nothing here waits") };
        assert_eq!(response.status().is_success(), succeeds);
        black_box(response);
    }
    nanos(start) / tokens.len() as f64
}

fn request(claims: &Claims) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(claims.clone());
    request
}
