//! Reads claims from a token's payload. A repeated claim is rejected here and nowhere else.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use crate::claims::{Claims, Hop};

/// The text of a claim, borrowed from the payload unless it holds escapes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Self)
    }
}

impl<'de, S: Deserialize<'de> + AsRef<str>> Deserialize<'de> for Claims<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor(PhantomData))
    }
}

struct ClaimsVisitor<S>(PhantomData<S>);

impl<'de, S: Deserialize<'de> + AsRef<str>> Visitor<'de> for ClaimsVisitor<S> {
    type Value = Claims<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of a mandate")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut others = OtherNames::default();
        let (mut sid, mut root_sid, mut zone_id) = (None, None, None);
        let (mut agent_session_id, mut delegation_edge_id, mut usage) = (None, None, None);
        let (mut delegation_chain, mut delegation_path, mut hop_count) = (None, None, None);
        let (mut delegation_graph_epoch, mut iat, mut exp) = (None, None, None);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match name.as_ref() {
                "sid" => once(&mut sid, &mut map)?,
                "root_sid" => once(&mut root_sid, &mut map)?,
                "agent_session_id" => once(&mut agent_session_id, &mut map)?,
                "delegation_edge_id" => once(&mut delegation_edge_id, &mut map)?,
                "zone_id" => once(&mut zone_id, &mut map)?,
                "use" => once(&mut usage, &mut map)?,
                "delegation_chain" => once(&mut delegation_chain, &mut map)?,
                "delegation_path" => once(&mut delegation_path, &mut map)?,
                "hop_count" => once(&mut hop_count, &mut map)?,
                "delegation_graph_epoch" => once(&mut delegation_graph_epoch, &mut map)?,
                "iat" => once(&mut iat, &mut map)?,
                "exp" => once(&mut exp, &mut map)?,
                _ => others.skip(name, &mut map)?,
            }
        }
        Ok(Claims {
            sid: present(sid).ok_or_else(|| de::Error::missing_field("sid"))?,
            root_sid: present(root_sid),
            agent_session_id: present(agent_session_id),
            delegation_edge_id: present(delegation_edge_id),
            delegation_chain: delegation_chain.flatten().unwrap_or_default(),
            delegation_path: delegation_path.flatten().unwrap_or_default(),
            hop_count: hop_count.flatten(),
            delegation_graph_epoch: delegation_graph_epoch.flatten().unwrap_or_default(),
            zone_id: present(zone_id),
            token_use: present(usage),
            iat: iat.flatten().ok_or_else(|| de::Error::missing_field("iat"))?,
            exp: exp.flatten().ok_or_else(|| de::Error::missing_field("exp"))?,
        })
    }
}

impl<'de, S: Deserialize<'de> + AsRef<str>> Deserialize<'de> for Hop<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HopVisitor(PhantomData))
    }
}

struct HopVisitor<S>(PhantomData<S>);

impl<'de, S: Deserialize<'de> + AsRef<str>> Visitor<'de> for HopVisitor<S> {
    type Value = Hop<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hop of a delegation chain")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut others = OtherNames::default();
        let (mut agent_session_id, mut delegation_edge_id) = (None, None);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match name.as_ref() {
                "agent_session_id" => once(&mut agent_session_id, &mut map)?,
                "delegation_edge_id" => once(&mut delegation_edge_id, &mut map)?,
                _ => others.skip(name, &mut map)?,
            }
        }
        Ok(Hop::new(present(agent_session_id), present(delegation_edge_id)))
    }
}

/// Reads the value of a claim that has not occurred before; null counts as a value.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    place: &mut Option<Option<T>>,
    map: &mut A,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(repeated());
    }
    *place = Some(map.next_value()?);
    Ok(())
}

fn repeated<E: de::Error>() -> E {
    E::custom("a claim occurs twice")
}

/// Removes an empty text, which counts as absent.
fn present<S: AsRef<str>>(text: Option<Option<S>>) -> Option<S> {
    text.flatten().filter(|text| !text.as_ref().is_empty())
}

/// The names in an object whose values are not used, to detect repetitions. The names themselves
/// are kept, because digests of short names have collided.
#[derive(Default)]
struct OtherNames<'de> {
    /// The first names, without allocation: a mandate has about ten.
    first: SmallVec<[Text<'de>; 16]>,
    rest: HashSet<Text<'de>>,
}

impl<'de> OtherNames<'de> {
    fn skip<A: MapAccess<'de>>(&mut self, name: Text<'de>, map: &mut A) -> Result<(), A::Error> {
        if !self.is_new(name) {
            return Err(repeated());
        }
        map.next_value::<IgnoredAny>().map(drop)
    }

    fn is_new(&mut self, name: Text<'de>) -> bool {
        if self.first.contains(&name) {
            return false;
        }
        if self.first.len() < self.first.inline_size() {
            self.first.push(name);
            return true;
        }
        self.rest.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_repeated_names_and_accepts_distinct_ones() {
        let names: Vec<_> = (0..1_000).map(|n| format!(r#""n{n}":{n}"#)).collect();
        let all = format!(r#"{{"sid":"ar-1","iat":1,"exp":2,{}}}"#, names.join(","));
        assert!(serde_json::from_str::<Claims>(&all).is_ok());
        for again in ["n0", "n15", "n16", "n999"] {
            // Repeated as the last name, so that the names exceed the inline capacity.
            let twice = all.replace('}', &format!(r#","{again}":[]}}"#));
            assert!(serde_json::from_str::<Claims>(&twice).is_err(), "{again}");
        }
    }
}
