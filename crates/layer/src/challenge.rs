//! The challenge of a denial: `WWW-Authenticate` (RFC 6750, section 3).

use std::sync::Arc;

use caracal_revocation_mandate::Requirements;
use http::{HeaderValue, Uri};

/// The URL of the resource metadata is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the resource metadata {problem}")]
pub struct ResourceMetadataError {
    problem: &'static str,
}

/// Checks the URL of a resource's metadata. It accepts no character that could end a quoted
/// parameter.
pub(crate) fn metadata_url(url: &str) -> Result<Arc<str>, ResourceMetadataError> {
    const MARKS: &[u8] = b"-._~:/?[]!$&'()*+,;=%";
    let is_uri_byte = |byte: u8| byte.is_ascii_alphanumeric() || MARKS.contains(&byte);
    let uri = url.parse::<Uri>().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("https" | "http")));
    let problem = match uri {
        None => "is not an https or http URL",
        Some(_) if url.contains('#') => "has a fragment",
        Some(_) if url.contains('@') => "contains a user",
        Some(uri) if uri.host().is_none_or(str::is_empty) => "names no host",
        Some(_) if !url.bytes().all(is_uri_byte) => "contains characters that must be escaped",
        Some(_) => return Ok(url.into()),
    };
    Err(ResourceMetadataError { problem })
}

/// Returns the parameters of every challenge of a layer: the scopes that it requires, and the
/// address of the resource's metadata (RFC 9728, section 5.1).
pub(crate) fn parameters(requirements: &Requirements, metadata: Option<&str>) -> Option<Arc<str>> {
    let scopes: Vec<&str> = requirements.scopes().collect();
    let can_be_sent = !scopes.is_empty() && scopes.iter().all(|scope| is_scope(scope));
    let scope = can_be_sent.then(|| format!(r#"scope="{}""#, scopes.join(" ")));
    let metadata = metadata.map(|url| format!(r#"resource_metadata="{url}""#));
    let all: Vec<String> = scope.into_iter().chain(metadata).collect();
    (!all.is_empty()).then(|| all.join(", ").into())
}

/// Returns the value of the header. Without a token there is no `error`.
pub(crate) fn challenge(error: Option<(&str, &str)>, parameters: Option<&str>) -> HeaderValue {
    let error =
        error.map(|(error, text)| format!(r#"error="{error}", error_description="{text}""#));
    let all: Vec<&str> = error.as_deref().into_iter().chain(parameters).collect();
    let text = format!("Bearer {}", all.join(", "));
    HeaderValue::try_from(text.trim_end()).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// Returns `true` for a `scope-token` of RFC 6749, which holds neither quote nor backslash.
fn is_scope(scope: &str) -> bool {
    let is_scope_byte = |byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    !scope.is_empty() && scope.bytes().all(is_scope_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_a_url_that_can_be_quoted() {
        for url in [
            "https://api.example/.well-known/oauth-protected-resource",
            "https://api.example:8443/.well-known/oauth-protected-resource/mcp?v=%22",
            "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp",
            "http://[::1]/m",
        ] {
            assert_eq!(metadata_url(url).as_deref(), Ok(url));
        }
        for url in [
            "",
            "/.well-known/oauth-protected-resource",
            "api.example",
            "api.example:443",
            "ftp://api.example/m",
            "https://",
            "https:///m",
            "https://api.example/m#part",
            "https://user:password@api.example/m",
            "https://api.example/\"quoted\"",
            "https://api.example/a\\b",
            "https://api.example/a b",
            "https://api.example/a\r\nx: y",
            "https://api.example/{id}",
            "https://api.example/caf\u{e9}",
        ] {
            let error = metadata_url(url).expect_err(url).to_string();
            assert!(error.starts_with("the address of the resource metadata "), "{error}");
            assert!(!error.contains("password"), "{error}");
        }
    }

    #[test]
    fn quotes_scopes_and_metadata() {
        let scopes = Requirements::new().scope("a:read").scope("a:write");
        let url = Some("https://api.example/m");
        for (requirements, metadata, expected) in [
            (Requirements::new(), None, None),
            (scopes.clone(), None, Some(r#"scope="a:read a:write""#)),
            (Requirements::new(), url, Some(r#"resource_metadata="https://api.example/m""#)),
            (
                scopes,
                url,
                Some(r#"scope="a:read a:write", resource_metadata="https://api.example/m""#),
            ),
            (Requirements::new().scope("a\""), None, None),
            (Requirements::new().scope("a b"), None, None),
        ] {
            assert_eq!(parameters(&requirements, metadata).as_deref(), expected);
        }
    }
}
