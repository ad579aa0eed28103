//! Reads the claims of a token from standard input. Shows and verifies nothing of the token.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caracal_revocation_state::Claims;

use crate::outcome::Failure;

/// The maximum size of the input. The Gateway rejects tokens over 4096 bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Reads the claims of a token, with or without the word `Bearer` before it.
pub(super) fn claims(input: impl Read) -> Result<Claims, Failure> {
    let mut text = String::new();
    let invalid = |what: &str| Failure::new(format!("the token on standard input: {what}"));
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
    serde_json::from_slice(&payload).map_err(|_| invalid("its claims are not those of a mandate"))
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
            let claims = claims(text.as_bytes()).unwrap();
            assert_eq!((&*claims.sid, claims.iat), ("ar-1", 7));
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
            let failure = claims(text.as_bytes()).unwrap_err().to_string();
            assert!(!failure.contains("hunter2"), "{failure}");
        }
    }
}
