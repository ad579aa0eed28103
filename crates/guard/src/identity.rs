//! The identity of an admitted request, as headers for the service behind.

use caracal_revocation::{Admission, Mandate};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("x-caracal-subject");
pub(crate) const ZONE: HeaderName = HeaderName::from_static("x-caracal-zone");
pub(crate) const CLIENT: HeaderName = HeaderName::from_static("x-caracal-client");
pub(crate) const SCOPES: HeaderName = HeaderName::from_static("x-caracal-scopes");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("x-caracal-session");
pub(crate) const STALENESS_MS: HeaderName = HeaderName::from_static("x-caracal-staleness-ms");

/// The identity holds text that a header cannot: the service behind could read another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAHeader;

/// Returns the headers of an admitted request. The identity is there only if this program verified
/// the token: an anonymous request and one on unverified claims have none.
pub(crate) fn headers(extensions: &Extensions) -> Result<HeaderMap, NotAHeader> {
    let mut headers = HeaderMap::with_capacity(6);
    if let Some(mandate) = Mandate::of(extensions) {
        let scopes = mandate.scopes().collect::<Vec<_>>().join(" ");
        for (name, value) in [
            (SUBJECT, mandate.subject()),
            (ZONE, mandate.zone()),
            (CLIENT, mandate.client()),
            (SCOPES, &scopes),
            (SESSION, &mandate.claims().sid),
        ] {
            headers.insert(name, to_value(value)?);
        }
    }
    if let Some(admission) = extensions.get::<Admission>() {
        let staleness = admission.admitted().staleness().as_millis();
        headers.insert(STALENESS_MS, u64::try_from(staleness).unwrap_or(u64::MAX).into());
    }
    Ok(headers)
}

/// Accepts visible ASCII with single spaces inside: text that every proxy passes on unchanged.
fn to_value(text: &str) -> Result<HeaderValue, NotAHeader> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    HeaderValue::from_str(text).ok().filter(|_| is_plain).ok_or(NotAHeader)
}

/// Removes the headers that only this program may set, in every spelling: `X-Caracal-…`, and
/// `X_Caracal_…`, which some services read as the same header.
pub(crate) fn remove_forged(headers: &mut HeaderMap) {
    let is_forged = |name: &&HeaderName| is_reserved(name.as_str());
    let forged: Vec<_> = headers.keys().filter(is_forged).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Returns `true` for the name of a header that only this program may set, in any spelling.
pub(crate) fn is_reserved(name: &str) -> bool {
    const PREFIX: &str = "x-caracal-";
    let start = name.get(..PREFIX.len());
    start.is_some_and(|start| start.replace('_', "-").eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_forged_identity_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-caracal-subject",
            "x_caracal_subject",
            "x-caracal_zone",
            "x_caracal-scopes",
            "x-caracal-",
            "x-caracal",
            "x-caracalla",
            "authorization",
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        headers.append("x-caracal-subject", HeaderValue::from_static("2"));
        remove_forged(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "x-caracal", "x-caracalla"]);
    }

    #[test]
    fn rejects_text_that_a_proxy_could_change() {
        for text in ["user-1", "a b", ""] {
            assert!(to_value(text).is_ok(), "{text:?}");
        }
        for text in ["a\r\nb", "a\tb", " a", "a ", "käse", "\0"] {
            assert_eq!(to_value(text), Err(NotAHeader), "{text:?}");
        }
    }
}
