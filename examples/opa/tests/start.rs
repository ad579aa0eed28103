//! Runs the example as a program and checks what it does not start with.

use caracal_test_support::terminal;

#[test]
fn names_a_missing_key() {
    terminal::refuses_a_redis_without_a_key(env!("CARGO_BIN_EXE_opa_embedded").as_ref());
}
