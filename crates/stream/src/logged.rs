//! Captures the log of one test, by its thread.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ToThread;

impl io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Empties the log of this thread, and starts to capture. All threads share one subscriber: tracing
/// caches whether any subscriber wants an event, so one for a single thread could miss events.
pub(crate) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| ToThread);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    });
    WRITTEN.take();
}

/// Returns the lines with this text.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let written = WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap());
    written.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// Returns the number of lines with this text.
pub(crate) fn count(text: &str) -> usize {
    lines(text).len()
}
