//! The example as a program: what it refuses to start with.

#[path = "../../typed/mod.rs"]
mod typed;

#[test]
fn names_a_port_in_use_and_a_missing_key() {
    typed::names_what_is_wrong(std::path::Path::new(env!(
        "CARGO_BIN_EXE_caracal-example-resource-server"
    )));
}
