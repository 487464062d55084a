//! Bytes that stay in the browser's memory until they are read.

use std::io::{self, Read};

use js_sys::Uint8Array;

/// A reader over bytes on the JavaScript side.
///
/// A file of hundreds of megabytes copied whole into WebAssembly's memory would stay there for good, since
/// that memory never shrinks; this way only a slice at a time comes in.
pub(crate) struct JsBytes {
    bytes: Uint8Array,
    at: u32,
}

impl JsBytes {
    /// A reader at the start of `bytes`.
    pub(crate) fn new(bytes: Uint8Array) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes there are in all.
    pub(crate) fn len(&self) -> u32 {
        self.bytes.length()
    }
}

impl Read for JsBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len() - self.at;
        let count = u32::try_from(buffer.len()).unwrap_or(u32::MAX).min(left);
        let part = self.bytes.subarray(self.at, self.at + count);
        part.copy_to(&mut buffer[..count as usize]);
        self.at += count;
        Ok(count as usize)
    }
}
