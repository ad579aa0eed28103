//! `drill`: proves the way of a revocation from the publisher to every replica, on live services.
//!
//! The files, in reading order: [`stage`] and [`report`] hold the result, [`observe`] judges
//! receipts, [`service`] and [`probe`] are checks, [`run`] is one drill, [`prober`] repeats
//! it, and [`command`] is the entry.

mod command;
mod http_client;
mod listener;
mod metrics;
mod observe;
mod probe;
mod prober;
mod report;
mod run;
mod service;
mod stage;

pub(crate) use command::drill;
