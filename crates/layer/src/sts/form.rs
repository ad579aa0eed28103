//! The authority that a token request names. Its form must have only one reading.

use caracal_revocation_state::AnchorKind;

use crate::RequestDenialKind;

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The fields that the layer reads. It leaves all others to the STS.
const FIELDS: [&str; 5] =
    ["session_id", "agent_session_id", "delegation_edge_id", "subject_token", "subject_token_type"];

/// The anchors that the first three of [`FIELDS`] name.
const ANCHORS: [AnchorKind; 3] =
    [AnchorKind::Sid, AnchorKind::AgentSession, AnchorKind::Delegation];

/// The authority that a token request names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Authority {
    /// The values, in the order of [`FIELDS`].
    values: [Option<String>; FIELDS.len()],
}

impl Authority {
    /// Reads a form that has only one reading.
    pub(super) fn of(body: &[u8]) -> Result<Self, RequestDenialKind> {
        // A form is ASCII. A semicolon separates fields for some programs but not for others.
        if !body.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b';') {
            return Err(RequestDenialKind::MalformedForm);
        }
        let mut authority = Self::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = text(decode(halves.next().unwrap_or_default())?)?;
            let value = decode(halves.next().unwrap_or_default())?;
            let Some(position) = FIELDS.iter().position(|field| may_be_read_as(&name, field))
            else {
                continue;
            };
            let value = text(value)?;
            if FIELDS.get(position).is_none_or(|field| *field != name)
                || value.trim() != value
                || value.chars().any(char::is_control)
            {
                return Err(RequestDenialKind::MalformedForm);
            }
            let Some(place) = authority.values.get_mut(position) else { continue };
            if place.replace(value).is_some() {
                return Err(RequestDenialKind::RepeatedField);
            }
        }
        Ok(authority)
    }

    /// Returns the ids of authority records, sessions and delegations, each with the claim that
    /// holds such an id in a mandate. Includes every spelling that a database treats as equal.
    pub(super) fn ids(&self) -> impl Iterator<Item = (AnchorKind, String)> {
        let named = ANCHORS.into_iter().zip(&self.values);
        let named = named.filter_map(|(anchor, id)| Some((anchor, id.as_ref()?)));
        named.filter(|(_, id)| !id.is_empty()).flat_map(|(anchor, id)| {
            let lower = id.to_ascii_lowercase();
            let uuid = as_uuid(&lower);
            let others = [Some(lower).filter(|lower| lower != id), uuid];
            let all = std::iter::once(id.clone()).chain(others.into_iter().flatten());
            all.map(move |id| (anchor, id))
        })
    }

    /// Returns the subject token if it is a mandate, and `None` for an identity token.
    pub(super) fn subject_token(&self) -> Option<&str> {
        let [.., token, token_type] = &self.values;
        let is_mandate = token_type.as_deref() != Some(ID_TOKEN);
        token.as_deref().filter(|token| is_mandate && !token.is_empty())
    }
}

/// Reads a form, for a fuzzer. Returns the fields that the layer reads, with their values.
#[cfg(fuzzing)]
pub fn read_form(body: &[u8]) -> Result<[(&'static str, Option<String>); 5], RequestDenialKind> {
    let mut values = Authority::of(body)?.values.into_iter();
    Ok(FIELDS.map(|field| (field, values.next().flatten())))
}

/// Returns `true` if a program could read this name as the field: in another case, with spaces
/// around it, or as the start of a list such as `name[0]`.
fn may_be_read_as(name: &str, field: &str) -> bool {
    let base = name.split(['[', '\0']).next().unwrap_or_default();
    base.trim().eq_ignore_ascii_case(field)
}

/// Returns the hyphenated form of an id that Postgres reads as a UUID.
fn as_uuid(lower: &str) -> Option<String> {
    let digits: String =
        lower.chars().filter(|letter| !matches!(letter, '-' | '{' | '}')).collect();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut uuid = String::with_capacity(36);
    for (position, digit) in digits.char_indices() {
        if matches!(position, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    Some(uuid).filter(|uuid| uuid != lower)
}

/// Decodes percent escapes, and a plus as a space.
fn decode(encoded: &[u8]) -> Result<Vec<u8>, RequestDenialKind> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, rest @ ..] => {
                let digits = [hex(*high), hex(*low)];
                let [Some(high), Some(low)] = digits else {
                    return Err(RequestDenialKind::MalformedForm);
                };
                decoded.push(high << 4 | low);
                rest
            }
            [b'%', ..] => return Err(RequestDenialKind::MalformedForm),
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
    Ok(decoded)
}

fn text(decoded: Vec<u8>) -> Result<String, RequestDenialKind> {
    String::from_utf8(decoded).map_err(|_| RequestDenialKind::MalformedForm)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
