//! The test vectors of the wire contract, `tests/vectors/events.json`.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

/// One test vector: a message, and its outcome at a reader with the key.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub stream: String,
    pub key_hex: String,
    /// The fields in the order of the wire. Empty if a field is not UTF-8.
    #[serde(default, rename = "fields")]
    pub text_fields: Vec<(String, String)>,
    #[serde(default)]
    fields_hex: Vec<(String, String)>,
    /// `accept`, or `reject_` with the kind of rejection.
    pub expect: String,
    /// The changes of an accepted message.
    #[serde(default)]
    pub effect: Option<Value>,
    /// `true` if the message is also written to the dead letters.
    #[serde(default)]
    pub dead_letter: bool,
}

impl Case {
    /// Returns the fields as bytes, in the order of the wire.
    pub fn fields(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let text =
            self.text_fields.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes()));
        let hex = self.fields_hex.iter().map(|(n, v)| (unhex(n), unhex(v)));
        text.chain(hex).collect()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

/// Returns every test vector.
pub fn vectors() -> Vec<Case> {
    let text = include_str!("../../../tests/vectors/events.json");
    serde_json::from_str::<Vectors>(text).expect("the file of test vectors").cases
}
