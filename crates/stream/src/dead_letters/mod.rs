//! Dead letters: unusable messages, written to `<stream>.dead` off the read path.

mod letter;
mod mark;
mod marked;
mod queue;
mod writer;

pub use letter::{DeadLetter, ParseDeadLetterError, bounded};
pub use mark::Order;
pub use marked::{Attempt, add, dead_stream, write};
#[cfg(test)]
pub(crate) use queue::Queue;
pub(crate) use queue::{DeadLetters, queue};
pub(crate) use writer::write_letters;
