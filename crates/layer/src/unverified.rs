//! Reads the claims of a token without verifying its signature.

use base64_simd::URL_SAFE_NO_PAD;
use caracal_revocation_state::{Claims, Text};

use crate::RequestDenialKind;

/// The decoded payload of a token. The claims borrow from it.
#[derive(Debug)]
pub(crate) struct Payload(String);

impl Payload {
    pub(crate) fn of(token: &str) -> Result<Self, RequestDenialKind> {
        let mut segments = token.split('.');
        let parts = (segments.next(), segments.next(), segments.next(), segments.next());
        let (Some(header), Some(payload), Some(signature), None) = parts else {
            return Err(RequestDenialKind::MalformedToken);
        };
        if [header, payload, signature].contains(&"") {
            return Err(RequestDenialKind::MalformedToken);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode_to_vec(payload)
            .map_err(|_| RequestDenialKind::MalformedPayload)?;
        // Checks the whole text: the JSON reader does not check text that it skips.
        String::from_utf8(bytes).map(Self).map_err(|_| RequestDenialKind::MalformedJson)
    }

    pub(crate) fn claims(&self) -> Result<Claims<Text<'_>>, RequestDenialKind> {
        // The reader's error can quote the payload, so it is dropped.
        serde_json::from_str(&self.0).map_err(|error| {
            if error.is_data() {
                RequestDenialKind::MalformedClaims
            } else {
                RequestDenialKind::MalformedJson
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequestDenialKind::{MalformedClaims, MalformedJson, MalformedPayload, MalformedToken};

    fn read(token: &str) -> Result<String, RequestDenialKind> {
        let payload = Payload::of(token)?;
        payload.claims().map(|claims| claims.sid.as_ref().to_owned())
    }

    fn with_payload(payload: &[u8]) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode_to_string(payload))
    }

    #[test]
    fn reads_the_claims_of_a_payload() {
        assert_eq!(
            read(&with_payload(br#"{"sid":"ar-1","iat":1,"exp":2}"#)).as_deref(),
            Ok("ar-1")
        );
        assert_eq!(
            read(&with_payload(br#" {"s\u0069d":"\u0061r-1","iat":1,"exp":2} "#)).as_deref(),
            Ok("ar-1")
        );
    }

    #[test]
    fn denies_token_without_exactly_three_segments() {
        for token in ["a", "a.b", "a.b.c.d", "a.b.c.", ".b.c", "a..c", "a.b.", "..", ".", ""] {
            assert_eq!(read(token), Err(MalformedToken), "{token}");
        }
    }

    #[test]
    fn denies_payload_that_is_not_unpadded_base64url() {
        let sid = URL_SAFE_NO_PAD.encode_to_string(r#"{"sid":"ar-1","iat":1,"exp":2}"#);
        assert_eq!(read(&format!("e30.{sid}.c2ln")).as_deref(), Ok("ar-1"));
        // Padding, the other alphabet, an impossible length, and unused bits that are set.
        let padded = format!("{sid}=");
        for payload in [padded.as_str(), "e30=", "e3+0", "e3/0", "e30~", "e", "e31"] {
            assert_eq!(read(&format!("e30.{payload}.c2ln")), Err(MalformedPayload), "{payload}");
        }
    }

    #[test]
    fn denies_payload_that_is_not_one_json_text() {
        let cases: [&[u8]; 9] = [
            br#"{"sid":"ar-1","iat":1,"exp":2}x"#,
            br#"{"sid":"ar-1","iat":1,"exp":2}{"sid":"ar-2"}"#,
            br#"{"sid":"ar-1""#,
            br#"{"sid":"ar-1",}"#,
            br#"{'sid':'ar-1'}"#,
            b"{\"sid\":\"ar-1\",\"iat\":1,\"exp\":2}\0",
            b"{\"sid\":\"ar-1\",\"iat\":1,\"exp\":2,\"skipped\":\"\xff\"}",
            b"\xef\xbb\xbf{\"sid\":\"ar-1\",\"iat\":1,\"exp\":2}",
            b"\xff",
        ];
        for payload in cases {
            assert_eq!(
                read(&with_payload(payload)),
                Err(MalformedJson),
                "{}",
                payload.escape_ascii()
            );
        }
    }

    #[test]
    fn denies_claims_that_are_missing_repeated_or_mistyped() {
        let cases = [
            r"{}",
            r"[]",
            r"null",
            r#""ar-1""#,
            r#"["ar-1"]"#,
            r#"{"sid":"","iat":1,"exp":2}"#,
            r#"{"sid":null,"iat":1,"exp":2}"#,
            r#"{"sid":7,"iat":1,"exp":2}"#,
            r#"{"sid":["ar-1"],"iat":1,"exp":2}"#,
            r#"{"root_sid":"ar-0","iat":1,"exp":2}"#,
            r#"{"sid":"ar-1"}"#,
            r#"{"sid":"ar-1","iat":1}"#,
            r#"{"sid":"ar-1","exp":2}"#,
            r#"{"sid":"ar-1","iat":null,"exp":2}"#,
            r#"{"sid":"ar-1","iat":1,"exp":null}"#,
            r#"{"sid":"ar-1","iat":1,"exp":2,"\u0065xp":3}"#,
            r#"{"sid":"ar-1","sid":"ar-2","iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","s\u0069d":"ar-2","iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","other":1,"other":2,"iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","iat":"1795400000","exp":2}"#,
            r#"{"sid":"ar-1","iat":1795400000.5,"exp":2}"#,
            r#"{"sid":"ar-1","iat":9223372036854775808,"exp":2}"#,
            r#"{"sid":"ar-1","delegation_graph_epoch":-1,"iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","delegation_chain":{},"iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","delegation_chain":["e-1"],"iat":1,"exp":2}"#,
            r#"{"sid":"ar-1","delegation_path":[null],"iat":1,"exp":2}"#,
        ];
        for payload in cases {
            assert_eq!(read(&with_payload(payload.as_bytes())), Err(MalformedClaims), "{payload}");
        }
    }

    #[test]
    fn denies_deep_nesting() {
        let chain = format!(r#"{{"sid":"ar-1","x":{}"#, "[".repeat(2_900));
        assert_eq!(read(&with_payload(chain.as_bytes())), Err(MalformedJson));
    }
}
