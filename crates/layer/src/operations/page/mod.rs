//! The page for people: the content of `/status` as HTML, without scripts and without other files.

mod headline;
mod render;
mod words;

pub(super) use render::{CONTENT_SECURITY_POLICY, Refresh, render};

#[cfg(test)]
mod tests;
