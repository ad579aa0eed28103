//! Runs the example as a program and checks what it does not start with.

use caracal_test_support::terminal;

#[test]
fn names_a_port_in_use_and_a_missing_key() {
    terminal::names_what_is_wrong(env!("CARGO_BIN_EXE_caracal-example-hyper").as_ref());
}
