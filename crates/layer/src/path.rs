//! The path of a request, decoded once and with only one reading.

/// Decodes the escapes of a request's path.
///
/// Returns `None` if two programs could read the path differently: if one could split or decode a
/// decoded segment again, or leave a segment out. Deny such a request (400, `ambiguous_path`)
/// before you compare its path with a route.
///
/// ```
/// use caracal_revocation_layer::decoded_path;
///
/// assert_eq!(decoded_path("/files/%73ecret").as_deref(), Some("/files/secret"));
/// assert_eq!(decoded_path("/files/..%2Fsecret"), None);
/// assert_eq!(decoded_path("//files"), None);
/// ```
#[must_use]
pub fn decoded_path(raw: &str) -> Option<String> {
    // `OPTIONS *` and `CONNECT` name no resource.
    if matches!(raw, "*" | "") {
        return Some(raw.to_owned());
    }
    let mut path = String::with_capacity(raw.len());
    let mut segments = raw.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = decoded_segment(segment)?;
        let is_last = segments.peek().is_none();
        if is_ambiguous(&segment) || (segment.is_empty() && !is_last) {
            return None;
        }
        path.push('/');
        path.push_str(&segment);
    }
    Some(path)
}

fn decoded_segment(raw: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let byte = if *byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            escaped(*digits)?
        } else {
            *byte
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok()
}

fn escaped([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Returns `true` for separators, control characters, `.` and `..` (with parameters, too), and an
/// escape that is left after decoding.
fn is_ambiguous(segment: &str) -> bool {
    let is_special = |letter: char| matches!(letter, '/' | '\\') || letter.is_control();
    let without_parameters = segment.split(';').next().unwrap_or_default();
    segment.chars().any(is_special)
        || matches!(without_parameters, "." | "..")
        || segment.as_bytes().windows(3).any(|three| match three {
            [b'%', high, low] => escaped([*high, *low]).is_some(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::decoded_path;

    #[test]
    fn decodes_each_escape_once() {
        for (raw, path) in [
            ("/", "/"),
            ("/files/secret", "/files/secret"),
            ("/files/%73ecret", "/files/secret"),
            ("/%66%69%6C%65%73/%73%65%63%72%65%74", "/files/secret"),
            ("/files/a%2Eb", "/files/a.b"),
            ("/files/...", "/files/..."),
            ("/files/", "/files/"),
            ("/files/a%20b", "/files/a b"),
            ("/files/caf%C3%A9", "/files/café"),
            ("/files/100%25", "/files/100%"),
            ("/files/%3Fa%23b", "/files/?a#b"),
            ("/files/a;v=1", "/files/a;v=1"),
            ("/files/a+b", "/files/a+b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(decoded_path(raw).as_deref(), Some(path), "{raw}");
        }
    }

    #[test]
    fn denies_paths_with_two_readings() {
        for raw in [
            "files",
            "/files%2Fsecret",
            "/files%2fsecret",
            "/files%5Csecret",
            "/files\\secret",
            "/files/%00secret",
            "/files/secret%0A",
            "/files/secret%7F",
            "/files/secret%C2%85",
            "/files/./secret",
            "/files/../secret",
            "/files/%2E/secret",
            "/files/%2e%2e/secret",
            "/files/.%2E/secret",
            "/files/..;x=1/secret",
            "/files/%2e%2e%3bx/secret",
            "/files/..",
            "//files/secret",
            "/files//secret",
            "/files/secret//",
            "/files/%2573ecret",
            "/files/%25%37%33ecret",
            "/files/%252e%252e/secret",
            "/files/%",
            "/files/%7",
            "/files/%zz",
            "/files/%+1",
            "/files/%C3secret",
            "/files/%C0%AFsecret",
            "/files/%ff",
        ] {
            assert_eq!(decoded_path(raw), None, "{raw}");
        }
    }
}
