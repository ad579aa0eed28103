//! Answers of a server, in pieces: nothing panics, memory is bounded, the pieces do not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| caracal_revocation_stream::fuzzing::resp(input));
