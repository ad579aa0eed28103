//! Reads the `Authorization` header strictly: only a header with exactly one bearer token counts.
//!
//! Every error is answered 401. A malformed token is `invalid_token` (RFC 6750, section 3.1), and
//! so is a header with more than one token. A proxy may join two headers into one (RFC 9110,
//! section 5.3), and the answer must not depend on that. RFC 6750 has status 400 with
//! `invalid_request` for this, but proxies that ask for a decision know only 401 and 403. A header
//! without a token, or of another scheme, is no error: its challenge has no code.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::RequestDenialKind;
use crate::limits::MAX_TOKEN;

/// The request's one `Authorization` header, of any scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authorization<'a> {
    scheme: &'a [u8],
    credentials: &'a [u8],
}

impl<'a> Authorization<'a> {
    /// Returns the header, or `None` if the request has no such header.
    ///
    /// Denies two headers: the layer that verified the token may have read another one than the
    /// service reads. Denies a token beyond the limit without reading it.
    pub(crate) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, RequestDenialKind> {
        // A loop over the few headers runs less code than a look-up by hash.
        let mut all =
            headers.iter().filter(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value);
        match (all.next(), all.next()) {
            // rule: two-tokens-are-denied
            (_, Some(_)) => Err(RequestDenialKind::AmbiguousToken),
            (None, None) => Ok(None),
            (Some(value), None) => Self::split(value).map(Some),
        }
    }

    fn split(value: &'a HeaderValue) -> Result<Self, RequestDenialKind> {
        let value = value.as_bytes().trim_ascii();
        let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        let header = Self { scheme, credentials: rest };
        if header.is_bearer() && rest.trim_ascii_start().len() > MAX_TOKEN {
            return Err(RequestDenialKind::OversizedToken);
        }
        Ok(header)
    }

    /// Returns the bearer token, a `b64token` of RFC 6750. Every JWT is one.
    pub(crate) fn token(self) -> Result<&'a str, RequestDenialKind> {
        let token = self.presented().filter(|token| is_token(token.as_bytes()));
        token.ok_or_else(|| self.denial_kind())
    }

    /// Returns the text in the place of a bearer token, without a check of its characters. A cache
    /// compares it with verified tokens.
    pub(crate) fn presented(self) -> Option<&'a str> {
        let token = self.credentials.trim_ascii_start();
        let (gap, _) = self.credentials.split_at(self.credentials.len() - token.len());
        let is_one = !token.is_empty() && gap.iter().all(|byte| *byte == b' ') && self.is_bearer();
        str::from_utf8(token).ok().filter(|_| is_one)
    }

    /// Returns `true` if the scheme is `Bearer` and the rest is not exactly one token. Two programs
    /// could then read different tokens.
    pub(crate) fn is_malformed(self) -> bool {
        self.is_bearer() && self.token() == Err(RequestDenialKind::MalformedHeader)
    }

    /// Returns the reason why the header holds no bearer token.
    #[cold]
    fn denial_kind(self) -> RequestDenialKind {
        let mut bytes = self.scheme.iter().chain(self.credentials);
        let is_text = bytes.all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        if is_text && (!self.is_bearer() || self.credentials.is_empty()) {
            RequestDenialKind::MissingToken
        } else {
            RequestDenialKind::MalformedHeader
        }
    }

    fn is_bearer(self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"bearer")
    }
}

/// Returns `true` if every byte may be in a token. Checks all of them: a loop that stops early
/// takes several times as long for a token of a thousand bytes.
fn is_token(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is_token_byte(*byte))
}

/// Returns `true` if RFC 6750 allows this byte in a token. Has no branch, so that the compiler can
/// check many bytes at a time.
const fn is_token_byte(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-./` and the digits are neighbours in ASCII.
    let is_digit = byte.wrapping_sub(b'-') <= b'9' - b'-';
    let is_mark = (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'=');
    is_letter | is_digit | is_mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequestDenialKind::{AmbiguousToken, MalformedHeader, MissingToken, OversizedToken};

    fn read(values: &[&[u8]]) -> Result<Option<String>, RequestDenialKind> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        let header = Authorization::of(&headers)?;
        header.map(|header| header.token().map(str::to_owned)).transpose()
    }

    #[test]
    fn reads_one_bearer_token_of_any_case() {
        let tokens: [&[u8]; 6] = [
            b"Bearer a.b.c",
            b"bearer a.b.c",
            b"BEARER a.b.c",
            b"bEaReR   a.b.c",
            b" Bearer a.b.c ",
            b"Bearer a.b.c\t",
        ];
        for token in tokens {
            assert_eq!(read(&[token]), Ok(Some("a.b.c".to_owned())), "{token:?}");
        }
        assert_eq!(read(&[b"Bearer -._~+/=Az09"]), Ok(Some("-._~+/=Az09".to_owned())));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn denies_every_other_header_with_its_reason() {
        let cases: [(&[u8], RequestDenialKind); 22] = [
            (b"", MissingToken),
            (b" ", MissingToken),
            (b"a.b.c", MissingToken),
            (b"Basic dXNlcjpwYXNz", MissingToken),
            (b"DPoP a.b.c", MissingToken),
            (b"Bearera.b.c", MissingToken),
            (b"Bearer:a.b.c", MissingToken),
            (b"Bearer,a.b.c", MissingToken),
            (b"XBearer a.b.c", MissingToken),
            (b"Bearer", MissingToken),
            (b"Bearer ", MissingToken),
            (b"Bearer\t", MissingToken),
            (b"bearer", MissingToken),
            (b"Bearer\ta.b.c", MalformedHeader),
            (b"Bearer a.b.c d", MalformedHeader),
            (b"Bearer a.b.c, Bearer d.e.f", MalformedHeader),
            (b"Bearer a.b.c,d", MalformedHeader),
            (b"Bearer \"a.b.c\"", MalformedHeader),
            (b"Bearer a.\xc3\xa9.c", MalformedHeader),
            (b"Bearer a.b.\xff", MalformedHeader),
            (b"B\xc3\xa9arer a.b.c", MalformedHeader),
            (b"Basic caf\xe9", MalformedHeader),
        ];
        for (value, kind) in cases {
            assert_eq!(read(&[value]), Err(kind), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn accepts_exactly_the_token_bytes_of_rfc_6750() {
        for byte in 0..=u8::MAX {
            let named = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token_byte(byte), named, "{byte}");
        }
    }

    #[test]
    fn denies_two_headers_with_any_content() {
        let pairs: [[&[u8]; 2]; 4] = [
            [b"Bearer a.b.c", b"Bearer d.e.f"],
            [b"Bearer a.b.c", b"Bearer a.b.c"],
            [b"Bearer a.b.c", b"Basic eA=="],
            [b"", b""],
        ];
        for pair in pairs {
            assert_eq!(read(&pair), Err(AmbiguousToken));
        }
    }

    #[test]
    fn denies_token_of_more_than_4096_bytes() {
        let fits = "a".repeat(4096);
        assert_eq!(read(&[format!("Bearer {fits}").as_bytes()]), Ok(Some(fits.clone())));
        for header in ["Bearer a", "bearer   a", "Bearer\ta", " Bearer a", "Bearer \u{e9}"] {
            let header = format!("{header}{fits}");
            assert_eq!(read(&[header.as_bytes()]), Err(OversizedToken));
        }
        // The limit is for bearer tokens: a longer ticket of another scheme is a missing token.
        assert_eq!(read(&[format!("Negotiate a{fits}").as_bytes()]), Err(MissingToken));
    }
}
