//! Fuzzes a snapshot file: it is rejected, or has the same content once it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| caracal_revocation_stream::fuzzing::snapshot(content));
