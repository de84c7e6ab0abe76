#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rescind_targets::lease_request(bytes));
