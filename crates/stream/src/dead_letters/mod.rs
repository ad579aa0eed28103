//! Dead letters: messages that cannot be used, written to `<stream>.dead` beside the read path.

mod letter;
mod mark;
mod marked;
mod queue;
mod writer;

pub use letter::{DeadLetter, NotADeadLetter};
pub use mark::Order;
pub use marked::{Attempt, add, write};
#[cfg(test)]
pub(crate) use queue::Queue;
pub(crate) use queue::{DeadLetters, queue};
pub(crate) use writer::write_letters;

use caracal_revocation_event::Stream;

/// The key of the stream that the dead letters of `stream` go to.
pub fn dead_stream(stream: Stream) -> String {
    format!("{stream}.dead")
}
