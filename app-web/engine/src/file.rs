//! A file of the browser as a reader.

use std::io::{self, Read};

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{File, FileReaderSync};

/// Bytes of one slice: an answer may have to wait for one to be read.
const SLICE_BYTES: f64 = (1 << 20) as f64;

/// Reads a file slice by slice. No byte of it passes the page's own thread.
pub(crate) struct Slices {
    file: File,
    reader: FileReaderSync,
    /// The slice read last, and how much of it is used up.
    slice: Uint8Array,
    used: u32,
    /// Bytes before the next slice.
    at: f64,
}

impl Slices {
    /// From the beginning of a file.
    pub(crate) fn new(file: File) -> Result<Self, JsValue> {
        let reader = FileReaderSync::new()?;
        Ok(Self { file, reader, slice: Uint8Array::new_with_length(0), used: 0, at: 0.0 })
    }

    fn next_slice(&mut self) -> Result<(), JsValue> {
        let end = (self.at + SLICE_BYTES).min(self.file.size());
        let blob = self.file.slice_with_f64_and_f64(self.at, end)?;
        self.slice = Uint8Array::new(&self.reader.read_as_array_buffer(&blob)?.into());
        self.used = 0;
        self.at = end;
        Ok(())
    }
}

impl Read for Slices {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.slice.length() && self.at < self.file.size() {
            // A folder, or a file that changed or vanished.
            self.next_slice().map_err(|error| {
                let said = describe(&error);
                io::Error::other(format!(
                    "the browser says: {said}. A folder cannot be opened; a file must stay unchanged while it is read"
                ))
            })?;
        }
        let left = self.slice.length() - self.used;
        let count = u32::try_from(buffer.len()).unwrap_or(u32::MAX).min(left);
        self.slice.subarray(self.used, self.used + count).copy_to(&mut buffer[..count as usize]);
        self.used += count;
        Ok(count as usize)
    }
}

/// What JavaScript throws, in words.
fn describe(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || error.as_string().unwrap_or_else(|| format!("{error:?}")),
        |error| String::from(error.message()),
    )
}
