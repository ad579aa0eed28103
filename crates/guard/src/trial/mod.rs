//! `caracal-guard try`: a guarded service, its issuer and its revocations in one process.

mod activity;
mod guide;
mod issuer;
mod run;
mod sample;
mod self_check;
mod service;

pub(crate) use run::run;
