//! `fleet`: reports if every replica has applied a message, and shows the replicas live.
//!
//! The files, in reading order: [`report`] is the report, [`lags`] and [`tracker`] compute the live
//! view, [`screen`] draws it, and [`live`] runs it.

mod lags;
mod live;
mod report;
mod screen;
mod tracker;

pub(crate) use live::{lines, screen};
pub(crate) use report::report;
