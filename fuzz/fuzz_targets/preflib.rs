//! Fuzzes the reading of PrefLib files.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| canvass_fuzz::check(bytes));
