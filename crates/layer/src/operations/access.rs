//! The bearer tokens of operators: compares one in constant time.

use std::sync::Arc;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::bearer::Authorization;

/// A bearer token that a request must present. It has no `Debug`, so no log can show it.
#[derive(Clone)]
pub(super) struct BearerToken(Arc<[u8]>);

/// The token of a request, compared with the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// The request has the expected token.
    Right,
    /// The request has another bearer token, or more than one.
    Wrong,
    /// The request has no bearer token.
    Nothing,
}

impl BearerToken {
    pub(super) fn new(token: &str) -> Self {
        Self(token.as_bytes().into())
    }

    /// Compares the bearer token of these headers with this one. An empty token never matches.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Presented {
        let Ok(header) = Authorization::of(headers) else { return Presented::Wrong };
        match header.map(Authorization::token) {
            // The time depends only on the lengths, not on the place of the first difference.
            Some(Ok(token)) if !token.is_empty() && bool::from(token.as_bytes().ct_eq(&self.0)) => {
                Presented::Right
            }
            Some(Ok(_)) => Presented::Wrong,
            Some(Err(_)) if header.is_some_and(Authorization::is_malformed) => Presented::Wrong,
            Some(Err(_)) | None => Presented::Nothing,
        }
    }
}
