//! A gateway's traces in OpenTelemetry.
//!
//! Run it with `cargo run -p caracal-example-otel`. The layers do not depend on OpenTelemetry: the
//! service opens a span for each request, as a trace layer does, and a denial is an event in that span.
//! Here the spans go to standard output; a service uses an OTLP exporter instead.

use std::convert::Infallible;

use bytes::Bytes;
use caracal_revocation::gateway::GuardedRequestBody;
use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
use caracal_revocation::{Claims, Follower, GatewayLayer, InProcess, Publisher};
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::{Layer, ServiceExt, service_fn};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let exporter = opentelemetry_stdout::SpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
    // Shows denials and the follower's log; its debug spans `apply` show each message.
    let filter = tracing_subscriber::EnvFilter::new("info,caracal_revocation_stream=debug");
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("gateway")));
    let _guard = tracing::subscriber::set_default(subscriber);
    two_requests().await?;
    provider.shutdown()?;
    Ok(())
}

/// Sends a request that is admitted, revokes its session, and sends one that is denied.
async fn two_requests() -> Result<(), Failure> {
    let key = Key::generate()?;
    let streams = InProcess::new();
    let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
    revocations.ready().await;
    let gateway = GatewayLayer::new(revocations.clone()).layer(service_fn(
        async |_: Request<GuardedRequestBody<()>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        },
    ));
    let issued = i64::try_from(revocations.now().wall.as_secs())?;
    let request = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(Claims::new("ar-1", issued, issued + 900));
        request
    };

    gateway.clone().oneshot(request()).instrument(tracing::info_span!("request")).await?;
    let publisher = Publisher::in_process(&streams, Some(key));
    publisher.publish(MessageBuilder::revoke("z-1", "operator").session("ar-1")).await?;
    while revocations.entries() == 0 {
        tokio::task::yield_now().await;
    }
    gateway.oneshot(request()).instrument(tracing::info_span!("request")).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    use super::*;

    #[tokio::test]
    async fn denial_is_in_request_span_and_message_has_own() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_subscriber::EnvFilter::new("info,caracal_revocation_stream=debug"))
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("gateway")));
        let _guard = tracing::subscriber::set_default(subscriber);
        two_requests().await.unwrap();

        let spans = exporter.get_finished_spans().unwrap();
        let named = |name: &'static str| spans.iter().filter(move |span| span.name == name);
        let denials: Vec<_> = named("request")
            .flat_map(|span| span.events.iter())
            .filter(|event| event.name == "request denied")
            .collect();
        assert_eq!((named("request").count(), denials.len()), (2, 1));
        let has = |name: &str, value: &str| {
            denials[0].attributes.iter().any(|attribute| {
                attribute.key.as_str() == name && attribute.value.as_str() == value
            })
        };
        assert!(has("reason", "revoked") && has("anchor", "sid"), "{denials:?}");
        let applied = named("apply").next().expect("the message's span");
        let stream = applied.attributes.iter().find(|attribute| attribute.key.as_str() == "stream");
        assert_eq!(stream.unwrap().value.as_str(), "caracal.sessions.revoke");
    }
}
