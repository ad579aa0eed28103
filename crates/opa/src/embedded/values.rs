//! Converts between JSON and Rego's values for each evaluation. It does not use serde, which needs
//! twice the allocations.

use std::collections::BTreeMap;

use regorus::Value as Rego;
use serde::Deserialize;
use serde_json::Value as Json;

/// Converts an input to a Rego value.
pub(super) fn to_rego(json: &Json) -> Result<Rego, String> {
    Ok(match json {
        Json::Null => Rego::Null,
        Json::Bool(bool) => Rego::Bool(*bool),
        Json::Number(_) => Rego::deserialize(json).map_err(|error| error.to_string())?,
        Json::String(text) => Rego::String(text.as_str().into()),
        Json::Array(items) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                all.push(to_rego(item)?);
            }
            all.into()
        }
        Json::Object(members) => {
            // `collect` would sort the members, which are already sorted.
            let mut all = BTreeMap::new();
            for (name, value) in members {
                all.insert(Rego::String(name.as_str().into()), to_rego(value)?);
            }
            all.into()
        }
    })
}

/// Converts a result to JSON, as OPA does: a set becomes an array, and a key that is not a string
/// becomes its JSON text.
pub(super) fn to_json(rego: &Rego) -> Result<Json, String> {
    Ok(match rego {
        Rego::Null => Json::Null,
        Rego::Bool(bool) => Json::Bool(*bool),
        Rego::String(text) => Json::String((**text).to_owned()),
        Rego::Array(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Rego::Set(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Rego::Object(members) => {
            let mut all = serde_json::Map::new();
            for (name, value) in members.iter() {
                let name = match name {
                    Rego::String(name) => (**name).to_owned(),
                    name => to_json(name)?.to_string(),
                };
                if all.insert(name, to_json(value)?).is_some() {
                    return Err("two names in the result have the same text".to_owned());
                }
            }
            Json::Object(all)
        }
        Rego::Undefined => return Err("a part of the result is undefined".to_owned()),
        Rego::Number(_) => serde_json::to_value(rego).map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-1e9..1e9).prop_map(|float: f64| Json::from(float)),
            "[a-z\"\\\\\u{e9}\n]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::btree_map("[a-z]{0,3}", inner, 0..6)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn conversions_agree_with_serde(json in json()) {
            let rego = to_rego(&json).unwrap();
            prop_assert_eq!(&rego, &Rego::deserialize(&json).unwrap());
            prop_assert_eq!(to_json(&rego).unwrap(), serde_json::to_value(&rego).unwrap());
        }
    }

    #[test]
    fn converts_set_to_array_and_key_to_text() {
        let set: std::collections::BTreeSet<_> = [Rego::from(2_u64), Rego::from(1_u64)].into();
        assert_eq!(to_json(&set.into()).unwrap(), serde_json::json!([1, 2]));
        let mut members: BTreeMap<_, _> = [(Rego::from(1_u64), Rego::Null)].into();
        assert_eq!(to_json(&members.clone().into()).unwrap(), serde_json::json!({ "1": null }));
        members.insert(Rego::from("1"), Rego::Null);
        assert!(to_json(&members.into()).is_err());
        assert!(to_json(&Rego::Undefined).is_err());
    }
}
