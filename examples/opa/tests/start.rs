//! Checks that the example reports a wrong environment and exits.

use caracal_test_support::terminal;

#[test]
fn reports_missing_key() {
    terminal::requires_key_for_redis(env!("CARGO_BIN_EXE_opa_embedded").as_ref());
}
