//! Checks that the example reports a wrong environment and exits.

use caracal_test_support::terminal;

#[test]
fn reports_missing_key() {
    terminal::refuses_a_redis_without_a_key(env!("CARGO_BIN_EXE_opa_embedded").as_ref());
}
