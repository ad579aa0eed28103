//! A connection that reads entries without copying them, and the parsing of its answers.

mod answers;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod reader;
mod receive_deadline;
mod scan;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;

pub(crate) use answers::Answers;
pub(crate) use reader::{Keep, MAX_MESSAGE, Received, Stopped, Wire};
pub(crate) use transport::Certificates;
