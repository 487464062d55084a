//! Bytes that stay in the browser's memory until they are read.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File};

use crate::js_error::describe;

/// Bytes fetched at once.
const CHUNK_BYTES: f64 = (4 << 20) as f64;
/// With so many at hand the next slice of any format can be unpacked.
const ENOUGH_BYTES: u64 = 8 << 20;
/// Beyond so many nothing more is fetched for now.
const AHEAD_BYTES: u64 = 32 << 20;

/// A file that the browser hands over chunk by chunk, a little ahead of the reader.
///
/// A file of hundreds of megabytes asked for whole would be all in memory before its first byte can be looked
/// at; this way reading begins at once and holds a few megabytes.
pub(crate) struct Arriving {
    queue: Rc<RefCell<Queue>>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Uint8Array>,
    /// Bytes of the first chunk that were read.
    at: u32,
    ahead: u64,
    ended: bool,
    failed: Option<String>,
    /// The reader is gone.
    cancelled: bool,
    /// Wakes the fetching task.
    resume: Option<Function>,
}

impl Queue {
    fn wake(&mut self) {
        if let Some(resume) = self.resume.take() {
            // A promise's resolving function does not throw.
            let _ = resume.call0(&wasm_bindgen::JsValue::NULL);
        }
    }
}

impl Arriving {
    /// The reader, and the task that fetches: `arrived` is called after each chunk.
    pub(crate) fn new(file: File, arrived: impl Fn()) -> (Self, impl Future<Output = ()>) {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let task = fetch(file, Rc::clone(&queue), arrived);
        (Self { queue }, task)
    }

    /// Tells whether a read would find bytes, the end or a failure.
    pub(crate) fn ready(&self) -> impl Fn() -> bool + 'static {
        let queue = Rc::clone(&self.queue);
        move || {
            let queue = queue.borrow();
            queue.ahead >= ENOUGH_BYTES || queue.ended || queue.failed.is_some()
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut queue = self.queue.borrow_mut();
        queue.cancelled = true;
        queue.chunks.clear();
        queue.wake();
    }
}

async fn fetch(file: File, queue: Rc<RefCell<Queue>>, arrived: impl Fn()) {
    let size = file.size();
    let mut at = 0.0;
    while at < size && !queue.borrow().cancelled {
        let end = (at + CHUNK_BYTES).min(size);
        let blob: Result<Blob, _> = file.slice_with_f64_and_f64(at, end);
        let chunk = match blob {
            Ok(blob) => JsFuture::from(blob.array_buffer()).await,
            Err(error) => Err(error),
        };
        match chunk {
            Ok(buffer) => {
                let bytes = Uint8Array::new(&buffer);
                let mut queue = queue.borrow_mut();
                queue.ahead += u64::from(bytes.length());
                queue.chunks.push_back(bytes);
            }
            // A folder, or a file that changed or vanished.
            Err(error) => {
                queue.borrow_mut().failed = Some(format!(
                    "the browser says: {}. A folder cannot be opened; a file must stay unchanged while it is read",
                    describe(&error)
                ));
                arrived();
                return;
            }
        }
        at = end;
        arrived();
        if queue.borrow().ahead >= AHEAD_BYTES {
            let pause = Promise::new(&mut |resolve, _| queue.borrow_mut().resume = Some(resolve));
            // It is only ever resolved.
            let _ = JsFuture::from(pause).await;
        }
    }
    queue.borrow_mut().ended = true;
    arrived();
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut queue = self.queue.borrow_mut();
        let Some(chunk) = queue.chunks.front() else {
            return match &queue.failed {
                Some(failed) => Err(io::Error::other(failed.clone())),
                None if queue.ended => Ok(0),
                // The loader asks only when enough has arrived.
                None => Err(io::Error::other("the bytes did not arrive in time; open the file again")),
            };
        };
        let (at, left) = (queue.at, chunk.length() - queue.at);
        let count = u32::try_from(buffer.len()).unwrap_or(u32::MAX).min(left);
        chunk.subarray(at, at + count).copy_to(&mut buffer[..count as usize]);
        queue.at += count;
        queue.ahead -= u64::from(count);
        if count == left {
            queue.chunks.pop_front();
            queue.at = 0;
        }
        if queue.ahead < AHEAD_BYTES / 2 {
            queue.wake();
        }
        Ok(count as usize)
    }
}
