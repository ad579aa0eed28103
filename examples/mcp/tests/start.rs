//! Checks that the example reports a wrong environment and exits.

use caracal_test_support::terminal;

#[test]
fn reports_port_in_use_and_missing_key() {
    terminal::names_what_is_wrong(std::path::Path::new(env!("CARGO_BIN_EXE_caracal-example-mcp")));
}
