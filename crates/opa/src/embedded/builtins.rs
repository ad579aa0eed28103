//! The built-ins that a policy may call, and those of them whose single call may take long.

/// The behaviour of a built-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// The value depends only on the arguments, and a call takes no longer than reading them.
    Prompt,
    /// The value depends only on the arguments, but small arguments can make a call take long.
    Long,
    /// The value depends on the network, the clock or randomness, or is not known to equal OPA's.
    Restricted,
}

const PROMPT: &[&str] = &[
    "abs",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.xor",
    "ceil",
    "contains",
    "count",
    "endswith",
    "floor",
    "glob.match",
    "hex.decode",
    "hex.encode",
    "indexof",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "regex.is_valid",
    "regex.match",
    "round",
    "semver.compare",
    "sort",
    "split",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.reverse",
    "substring",
    "sum",
    "time.clock",
    "time.date",
    "time.diff",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

const LONG: &[&str] = &[
    "array.concat",
    "bits.lsh",
    "bits.rsh",
    "concat",
    "format_int",
    "graph.reachable",
    "graph.reachable_paths",
    "indexof_n",
    "json.patch",
    "net.cidr_expand",
    "numbers.range",
    "numbers.range_step",
    "object.union_n",
    "product",
    "regex.find_n",
    "regex.replace",
    "regex.template_match",
    "replace",
    "sprintf",
    "time.format",
    "to_number",
];

pub(super) fn behaviour(name: &str) -> Behaviour {
    if PROMPT.binary_search(&name).is_ok() {
        Behaviour::Prompt
    } else if LONG.binary_search(&name).is_ok() {
        Behaviour::Long
    } else {
        Behaviour::Restricted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_disjoint() {
        assert!(PROMPT.is_sorted() && LONG.is_sorted());
        assert!(!PROMPT.iter().any(|name| LONG.contains(name)));
    }

    #[test]
    fn corpus_calls_each_allowed_builtin() {
        let corpus = include_str!("../../tests/differential/corpus.jsonl");
        for name in PROMPT.iter().chain(LONG) {
            assert!(corpus.contains(&format!("{name}(")), "{name}");
        }
    }

    #[test]
    fn rejects_impure_and_unknown_builtins() {
        for name in [
            "http.send",
            "net.lookup_ip_addr",
            "opa.runtime",
            "rand.intn",
            "time.now_ns",
            "uuid.rfc4122",
            "test.sleep",
            "tomorrow.s_builtin",
        ] {
            assert_eq!(behaviour(name), Behaviour::Restricted, "{name}");
        }
    }
}
