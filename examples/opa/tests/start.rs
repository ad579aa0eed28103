//! The example as a program: what it refuses to start with.

#[path = "../../typed/mod.rs"]
mod typed;

#[test]
fn names_a_missing_key() {
    typed::refuses_a_redis_without_a_key(env!("CARGO_BIN_EXE_opa_embedded").as_ref());
}
