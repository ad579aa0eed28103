//! Captures the log of one test: the events of its thread.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

thread_local! {
    static WRITTEN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes one event per line, without escapes: a value that can forge a line does so here.
struct Naive;

impl<S: Subscriber> Layer<S> for Naive {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = format!("{} {}", metadata.level(), metadata.target());
        event.record(&mut Fields(&mut line));
        WRITTEN.with_borrow_mut(|written| {
            written.push_str(&line);
            written.push('\n');
        });
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").unwrap();
    }
}

/// Installs the subscriber. It must run before the first event: tracing caches for each event
/// whether any subscriber is interested, and would miss one that only a single thread has.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Naive);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// Returns all events that `run` logs, at every level.
pub(crate) fn logged(run: impl FnOnce()) -> String {
    WRITTEN.take();
    run();
    WRITTEN.take()
}
