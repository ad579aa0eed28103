//! The status of a denied or cut gRPC call, with details for programs.
//!
//! The details are a `google.rpc.Status` that holds one `google.rpc.ErrorInfo`. Both are a few
//! fields of text, so they are written here by hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const DOMAIN: &str = "caracal";

/// The status of a gRPC call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcStatus<'a> {
    /// The code, such as 16 for `UNAUTHENTICATED`.
    pub(crate) code: u8,
    /// A sentence for a person.
    pub(crate) message: &'a str,
    /// A label such as `suspended`; its upper case is the `ErrorInfo`'s reason.
    pub(crate) reason: &'a str,
    /// The metadata of the `ErrorInfo`.
    pub(crate) metadata: &'a [(&'a str, &'a str)],
}

impl GrpcStatus<'_> {
    /// Writes the status into the headers or the trailers of a response.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(self.code)));
        let details = STANDARD_NO_PAD.encode(self.details());
        for (name, text) in
            [(GRPC_MESSAGE, percent_encoded(self.message)), (GRPC_STATUS_DETAILS, details)]
        {
            // Both hold only visible ASCII and spaces, so they are valid header values.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }

    /// Returns an encoded `google.rpc.Status`. The numbers of its fields are:
    ///
    /// - `google.rpc.Status`: `code` 1, `message` 2, `details` 3;
    /// - `google.protobuf.Any`: `type_url` 1, `value` 2;
    /// - `google.rpc.ErrorInfo`: `reason` 1, `domain` 2, `metadata` 3.
    fn details(&self) -> Vec<u8> {
        let mut info = Vec::new();
        field(&mut info, 1, self.reason.to_ascii_uppercase().as_bytes());
        field(&mut info, 2, DOMAIN.as_bytes());
        for (name, value) in self.metadata {
            let mut entry = Vec::new();
            field(&mut entry, 1, name.as_bytes());
            field(&mut entry, 2, value.as_bytes());
            field(&mut info, 3, &entry);
        }
        let mut any = Vec::new();
        field(&mut any, 1, ERROR_INFO.as_bytes());
        field(&mut any, 2, &info);
        // Field 1 as a varint.
        let mut status = vec![1 << 3, self.code];
        field(&mut status, 2, self.message.as_bytes());
        field(&mut status, 3, &any);
        status
    }
}

/// Appends a length-delimited field to a Protocol Buffers message. Its number must be below 16.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    const LENGTH_DELIMITED: u8 = 2;
    message.push((number << 3) + LENGTH_DELIMITED);
    let mut length = value.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(value);
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_has_its_number_and_length_before_its_bytes() {
        // The length is a varint: seven bits a byte, the lowest first.
        for (number, length, head) in [
            (1, 0, &[0x0a, 0][..]),
            (2, 1, &[0x12, 1]),
            (3, 127, &[0x1a, 0x7f]),
            (3, 128, &[0x1a, 0x80, 0x01]),
            (3, 300, &[0x1a, 0xac, 0x02]),
            (3, 16_384, &[0x1a, 0x80, 0x80, 0x01]),
        ] {
            let mut message = vec![0xff];
            field(&mut message, number, &vec![b'x'; length]);
            let expected = [&[0xff][..], head, &vec![b'x'; length]].concat();
            assert_eq!(message, expected, "{length} bytes");
        }
    }

    #[test]
    fn message_is_percent_encoded_where_a_header_needs_it() {
        for (text, encoded) in [
            ("", ""),
            (" a~Z0", " a~Z0"),
            ("100%", "100%25"),
            ("a\nb\u{7f}", "a%0Ab%7F"),
            ("caf\u{e9}", "caf%C3%A9"),
        ] {
            assert_eq!(percent_encoded(text), encoded, "{text:?}");
        }
    }

    #[test]
    fn status_carries_code_message_and_details() {
        let status = GrpcStatus {
            code: 16,
            message: "50% revoked",
            reason: "suspended",
            metadata: &[("error", "invalid_token")],
        };
        let mut headers = HeaderMap::new();
        status.write(&mut headers);
        assert_eq!(headers.get(GRPC_STATUS).unwrap(), "16");
        assert_eq!(headers.get(GRPC_MESSAGE).unwrap(), "50%25 revoked");
        let details = STANDARD_NO_PAD.decode(headers.get(GRPC_STATUS_DETAILS).unwrap()).unwrap();
        let metadata = b"\n\x05error\x12\rinvalid_token";
        let info = [&b"\n\tSUSPENDED\x12\x07caracal\x1a\x16"[..], &metadata[..]].concat();
        let any =
            [&b"\n("[..], ERROR_INFO.as_bytes(), b"\x12", &[info.len() as u8], &info].concat();
        let expected =
            [&b"\x08\x10\x12\x0b50% revoked\x1a"[..], &[any.len() as u8][..], &any].concat();
        assert_eq!(details, expected);
    }
}
