//! Fuzzes a server's replies, split anywhere: nothing panics, memory is bounded, and the splits
//! have no effect.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| caracal_revocation_stream::fuzzing::resp(input));
