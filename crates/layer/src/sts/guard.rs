//! Decides about token requests.

use std::time::Duration;

use caracal_revocation_state::{Checks, Claims, Revocations};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body::Body;

use super::form::Authority;
use crate::answer::{Denial, Profile, RequestId};
use crate::guarded::admit_unverified;
use crate::limits::{FORM_DEADLINE, MAX_FORM};
use crate::metrics::{Counters, Front};
use crate::unverified::Payload;
use crate::{RequestDenial, RequestDenialKind, log};

/// The path of Caracal's token endpoint (contract, "Token exchange").
const TOKEN_ENDPOINT: &str = "/oauth/2/token";

#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) path: Box<str>,
    pub(super) deadline: Duration,
    pub(super) revocations: Revocations,
    pub(super) checks: Checks,
    counters: Counters,
}

impl Guard {
    pub(super) fn new(revocations: Revocations) -> Self {
        let mut checks = Checks::default();
        // The STS decides from Caracal's records, and checks the token's lifetime itself.
        checks.horizon = false;
        checks.lifetime = false;
        let counters = Counters::register(Profile::Sts, Front::default());
        Self { path: TOKEN_ENDPOINT.into(), deadline: FORM_DEADLINE, revocations, checks, counters }
    }

    /// Returns `true` if the request may be a token request: a `POST` that may carry a form, at any
    /// path, or any `POST` to the token endpoint.
    pub(super) fn is_token_request<B: Body>(&self, request: &Request<B>) -> bool {
        request.method() == Method::POST
            && (may_be_form(request.headers(), request.body())
                || self.is_token_endpoint(request.uri()))
    }

    /// Returns `true` if the path may be that of the token endpoint, in any spelling that a router
    /// accepts. Compares the paths from their ends, because axum's `nest` may have removed the
    /// start of one of them.
    fn is_token_endpoint(&self, uri: &Uri) -> bool {
        let [path, endpoint] = [uri.path(), &*self.path].map(plain_segments);
        let mut ends = path.iter().rev().zip(endpoint.iter().rev());
        ends.all(|(segment, of_endpoint)| segment.eq_ignore_ascii_case(of_endpoint))
    }

    /// Denies a request whose URL or headers show that its body must not be read.
    pub(super) fn accept(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Denial> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let fits = announced
            .is_none_or(|length| length.parse().is_ok_and(|length: usize| length <= MAX_FORM));
        let kind = if uri.query().is_some_and(|query| !query.is_empty()) {
            RequestDenialKind::QueryParameters
        } else if !is_form(headers) {
            RequestDenialKind::UnsupportedBody
        } else if !fits {
            RequestDenialKind::OversizedBody
        } else {
            return Ok(());
        };
        Err(self.deny(kind.into(), headers))
    }

    /// Decides from the complete body whether the request goes on to the STS.
    pub(super) fn authorize(
        &self,
        headers: &HeaderMap,
        body: Result<&[u8], RequestDenialKind>,
    ) -> Result<(), Denial> {
        body.map_err(RequestDenial::from)
            .and_then(|body| self.check_anchors_and_token(&Authority::of(body)?))
            .map_err(|rejection| self.deny(rejection, headers))
    }

    fn check_anchors_and_token(&self, authority: &Authority) -> Result<(), RequestDenial> {
        for (anchor, id) in authority.ids() {
            // The field names the current authority, not that of an older token. A suspension that
            // has ended does not count, so the claims have the latest `iat`.
            let decided = self.decide(&Claims::new(&id, i64::MAX, i64::MAX));
            decided.map_err(|rejection| rejection.by_anchor(anchor))?;
        }
        if let Some(token) = authority.subject_token() {
            let payload = Payload::of(token)?;
            self.decide(&payload.claims()?)?;
        }
        Ok(())
    }

    fn decide<S: AsRef<str>>(&self, claims: &Claims<S>) -> Result<(), RequestDenial> {
        let admission = admit_unverified(&self.revocations, claims, &self.checks, None)?;
        if let Some(unknown) = admission.admitted().failed_open() {
            self.counters.failed_open(unknown);
        }
        Ok(())
    }

    fn deny(&self, rejection: RequestDenial, headers: &HeaderMap) -> Denial {
        self.counters.denied(rejection.kind());
        self.counters.enforced(&rejection);
        let request_id = RequestId::of(headers);
        let profile = Profile::Sts;
        let denial = Denial { rejection, request_id, profile, grpc: false, challenge: None };
        log::denial(&denial, true, None);
        denial
    }
}

/// Returns `false` only for a body that no program reads as a form: an empty one without content
/// type, or one with a single valid content type that is not a form's.
fn may_be_form<B: Body>(headers: &HeaderMap, body: &B) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, _) => !body.is_end_stream(),
        (Some(_), Some(_)) => true,
        (Some(content_type), None) => content_type.to_str().map_or(true, |content_type| {
            let essence = essence(content_type);
            let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
            let is_clear = essence
                .split_once('/')
                .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
            !is_clear || FORMS.iter().any(|form| essence.eq_ignore_ascii_case(form))
        }),
    }
}

/// The content types of forms. Some frameworks read both; the layer accepts only the first.
const FORMS: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];

/// Returns `true` for a character of a token (RFC 9110), such as the two halves of a content type.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Returns `true` if the one content type is that of a form in UTF-8, without compression.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else { return false };
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().all(is_plain)
        && content_type.to_str().is_ok_and(is_form_type)
}

fn is_form_type(text: &str) -> bool {
    let [form, _] = FORMS;
    let mut parameters = text.split(';').skip(1).map(str::trim);
    essence(text).eq_ignore_ascii_case(form)
        && parameters.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) => true,
            None => parameter.is_empty(),
        })
}

/// Returns the decoded segments of a path, without empty ones and `.`. Routers may ignore escapes,
/// and repeated and trailing slashes.
fn plain_segments(path: &str) -> Vec<String> {
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let ahead: Vec<u8> = bytes.clone().take(2).collect();
        let escaped = std::str::from_utf8(&ahead).ok().filter(|digits| digits.len() == 2);
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                plain.push(decoded);
                bytes.nth(1);
            }
            _ => plain.push(byte),
        }
    }
    let plain = String::from_utf8_lossy(&plain);
    let segments = plain.split('/').filter(|segment| !matches!(*segment, "" | "."));
    segments.map(str::to_owned).collect()
}
