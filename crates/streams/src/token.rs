//! Reads a token and its claims. Shows and verifies nothing of the token.

use std::fmt;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation_state::Claims;

use crate::outcome::Failure;

/// The maximum size of the input. The Gateway rejects tokens over 4096 bytes.
const MAX_BYTES: u64 = 64 << 10;

/// A token, and its claims. `Debug` hides both.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) claims: Claims,
}

impl Token {
    /// Reads a token, with or without the word `Bearer` before it. `place` names its source in
    /// errors.
    pub(crate) fn read(input: impl Read, place: &str) -> Result<Self, Failure> {
        let mut text = String::new();
        let invalid = |what: &str| Failure::new(format!("{place}: {what}"));
        input.take(MAX_BYTES).read_to_string(&mut text).map_err(|_| invalid("not UTF-8"))?;
        let token = text.trim();
        let token = match token.split_once(char::is_whitespace) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => token,
        };
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid("expected three parts, separated by dots"));
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| invalid("not base64url"))?;
        // The parser's error is left out: it may quote a claim.
        let claims = serde_json::from_slice(&payload)
            .map_err(|_| invalid("its claims are not those of a mandate"))?;
        Ok(Self { text: token.to_owned(), claims })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn reads_token_with_or_without_scheme() {
        let token = token(r#"{"sid":"ar-1","iat":7,"exp":9}"#);
        for text in [token.clone(), format!("Bearer {token}\n"), format!("bearer  {token}")] {
            let read = Token::read(text.as_bytes(), "the token").unwrap();
            assert_eq!((&*read.claims.sid, read.claims.iat), ("ar-1", 7));
            assert_eq!(read.text, token);
        }
    }

    #[test]
    fn failure_quotes_nothing_of_the_token() {
        for text in [
            token(r#"{"sid":"hunter2","iat":"hunter2","exp":9}"#),
            "hunter2".to_owned(),
            "a.hunter2!.c".to_owned(),
            "a.b.c.hunter2".to_owned(),
        ] {
            let failure = Token::read(text.as_bytes(), "here").unwrap_err().to_string();
            assert!(failure.starts_with("here: "), "{failure}");
            assert!(!failure.contains("hunter2"), "{failure}");
        }
    }
}
