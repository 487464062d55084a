//! A ledger whose operations are only counted. Records go to it in batches, natively to a thread of its own: it needs
//! nothing but them, and nothing waits for it before the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sim_core::tape::StackId;

use super::allocator::Function;
use super::facts::Geometry;
use super::ledger::{Ledger, Record, Tally};

/// Words of a batch.
const BATCH: usize = 1 << 13;

/// Records on their way, as few bytes as can be, since they go from one core to another. A word is a record of the
/// thread before with function, size and address; the rare one that does not fit has three, the first of them [`WIDE`]
/// with function and thread.
#[derive(Debug, Default)]
struct Batch {
    /// What became known before these records.
    geometry: Option<Geometry>,
    words: Vec<u64>,
}

const WIDE: u64 = 1 << 63;
const FUNCTION_AT: u32 = 59;
const SIZE_AT: u32 = 43;
const SIZE_MAX: u64 = (1 << (FUNCTION_AT - SIZE_AT)) - 1;
/// Addresses in a word are multiples of 16.
const ADDRESS_BITS: u64 = ((1 << SIZE_AT) - 1) << 4;

/// A ledger and what it counts to.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    /// The thread of the last record.
    thread: u32,
}

impl Book {
    fn enter(&mut self, batch: &Batch) {
        if let Some(geometry) = batch.geometry {
            self.ledger.set_geometry(geometry);
        }
        let mut words = batch.words.iter();
        while let Some(&word) = words.next() {
            let record = if word < WIDE {
                Record {
                    address: word << 4 & ADDRESS_BITS,
                    size: word >> SIZE_AT & SIZE_MAX,
                    thread: self.thread,
                    function: Function::of_bits(word >> FUNCTION_AT),
                }
            } else {
                let (Some(&address), Some(&size)) = (words.next(), words.next()) else { return };
                self.thread = (word >> 4) as u32;
                Record { address, size, thread: self.thread, function: Function::of_bits(word) }
            };
            let Ok(()) = self.ledger.enter(record, StackId(0), &mut self.tally);
        }
    }
}

/// Gathers records for the book.
#[derive(Debug)]
pub(super) struct Counter {
    batch: Batch,
    /// The thread of the last record.
    thread: u32,
    book: Arc<Mutex<Book>>,
    #[cfg(not(target_arch = "wasm32"))]
    beside: Option<beside::Beside>,
}

impl Counter {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            batch: Batch::default(),
            thread: 0,
            book: Arc::new(Mutex::new(Book { ledger, tally: Tally::new(), thread: 0 })),
            #[cfg(not(target_arch = "wasm32"))]
            beside: None,
        }
    }

    pub(super) fn set_geometry(&mut self, geometry: Geometry) {
        self.send();
        self.batch.geometry = Some(geometry);
    }

    #[inline]
    pub(super) fn enter(&mut self, record: Record) {
        let Record { address, size, thread, function } = record;
        if address & !ADDRESS_BITS == 0 && size <= SIZE_MAX && thread == self.thread {
            let number = function.number() as u64;
            self.batch.words.push(address >> 4 | size << SIZE_AT | number << FUNCTION_AT);
        } else {
            self.enter_wide(record);
        }
        if self.batch.words.len() >= BATCH {
            self.full();
        }
    }

    #[cold]
    fn enter_wide(&mut self, Record { address, size, thread, function }: Record) {
        self.thread = thread;
        let head = WIDE | u64::from(thread) << 4 | function.number() as u64;
        self.batch.words.extend([head, address, size]);
    }

    #[cold]
    fn full(&mut self) {
        // Files of less than a batch are not worth a thread.
        #[cfg(not(target_arch = "wasm32"))]
        if self.beside.is_none() {
            self.beside = beside::Beside::start(&self.book);
        }
        self.send();
    }

    fn send(&mut self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(beside) = &self.beside {
            let next = Batch { geometry: None, words: Vec::with_capacity(BATCH + 2) };
            return beside.send(std::mem::replace(&mut self.batch, next));
        }
        open(&self.book).enter(&self.batch);
        self.batch.geometry = None;
        self.batch.words.clear();
    }

    /// The book with all records in it.
    pub(super) fn close(&mut self) -> MutexGuard<'_, Book> {
        self.send();
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(beside) = self.beside.take() {
            beside.join();
        }
        let mut book = open(&self.book);
        let Book { ledger, tally, .. } = &mut *book;
        let Ok(()) = ledger.close(tally);
        book
    }
}

fn open(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(not(target_arch = "wasm32"))]
mod beside {
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::sync::{Arc, Mutex};
    use std::thread::{self, JoinHandle};

    use super::{Batch, Book, open};

    /// Batches that may wait.
    const WAITING: usize = 4;

    /// A thread that enters batches. Once there is nobody to send any, it ends.
    #[derive(Debug)]
    pub(super) struct Beside {
        batches: SyncSender<Batch>,
        thread: JoinHandle<()>,
    }

    impl Beside {
        /// `None` where there is no second core, or no thread to be had.
        pub(super) fn start(book: &Arc<Mutex<Book>>) -> Option<Self> {
            if thread::available_parallelism().map_or(1, usize::from) == 1 {
                return None;
            }
            let (batches, received) = sync_channel(WAITING);
            let book = Arc::clone(book);
            let enter = move || received.iter().for_each(|batch| open(&book).enter(&batch));
            let thread = thread::Builder::new().name("ledger".to_owned()).spawn(enter).ok()?;
            Some(Self { batches, thread })
        }

        pub(super) fn send(&self, batch: Batch) {
            // It fails only where the thread panicked, and joining passes that on.
            let _ = self.batches.send(batch);
        }

        pub(super) fn join(self) {
            drop(self.batches);
            if let Err(panic) = self.thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memray::header::PythonAllocator;

    /// Records as a wild process might have them, of which some fit a word.
    fn records() -> Vec<Record> {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut record = || Record {
            address: match random(50) {
                0 => u64::MAX - random(1 << 20),
                1 => random(4),
                2 => 0x7f00_0000_0000 + random(1 << 16),
                _ => 0x7f00_0000_0000 + random(1 << 12) * 16,
            },
            size: if random(50) == 0 { u64::MAX - random(9) } else { random(600) },
            thread: if random(100) == 0 { random(1 << 32) as u32 } else { random(3) as u32 },
            function: Function::new(random(15) as u8 + 1).unwrap(),
        };
        (0..10 * BATCH).map(|_| record()).collect()
    }

    #[test]
    fn a_thread_beside_counts_what_one_alone_counts() {
        let geometry = Geometry { pool_bytes: Some(16 << 10), arena_bytes: 1 << 20 };
        let records = records();
        for known_after in [0, 1000, 3 * BATCH] {
            let (mut alone, mut tally) = (Ledger::new(PythonAllocator::Pymalloc), Tally::new());
            let mut counter = Counter::new(Ledger::new(PythonAllocator::Pymalloc));
            for (n, &record) in records.iter().enumerate() {
                if n == known_after {
                    alone.set_geometry(geometry);
                    counter.set_geometry(geometry);
                }
                let Ok(()) = alone.enter(record, StackId(0), &mut tally);
                counter.enter(record);
            }
            let Ok(()) = alone.close(&mut tally);
            let book = counter.close();
            assert!(tally.counts.iter().flatten().sum::<u64>() > BATCH as u64 && tally.threads.len() > 3);
            assert_eq!((book.tally.counts, &book.tally.threads), (tally.counts, &tally.threads));
            let ledger = &book.ledger;
            assert_eq!(
                (ledger.ids(), ledger.peak_bytes, ledger.failed, &ledger.doubt, ledger.maps.arenas()),
                (alone.ids(), alone.peak_bytes, alone.failed, &alone.doubt, alone.maps.arenas())
            );
        }
    }

    #[test]
    fn what_is_left_in_the_middle_ends() {
        let mut counter = Counter::new(Ledger::new(PythonAllocator::Pymalloc));
        for record in records() {
            counter.enter(record);
        }
        let book = Arc::downgrade(&counter.book);
        drop(counter);
        while book.upgrade().is_some() {
            std::thread::yield_now();
        }
    }
}
