#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trace_io_fuzz::harness::memray(data));
