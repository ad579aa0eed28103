//! The readers of a request's headers and form, for a fuzzer.

use http::HeaderMap;

use crate::RequestDenialKind;
use crate::answer::has_trailers;
use crate::bearer::Authorization;

pub use crate::sts::read_form as form;

/// Returns `true` if the response to a request with these headers may end with a trailer.
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(http::header::TE).iter().any(has_trailers)
}

/// Reads the bearer token, if there is an `Authorization` header.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, RequestDenialKind> {
    Authorization::of(headers)?.map(Authorization::token).transpose()
}
