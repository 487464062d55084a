//! Putting a loaded library back to the state it was loaded in.
//!
//! pymalloc's state is static data of libpython, and one process is to run it from the beginning many
//! times. The library's writable segments are copied once after loading and written back on reset.

use std::ffi::{CStr, c_int, c_void};

/// A copy of a library's writable data.
pub(crate) struct Pristine {
    parts: Vec<(*mut u8, Vec<u8>)>,
}

struct Search<'a> {
    name: &'a str,
    writable: Vec<(usize, usize)>,
    read_only_after_loading: Vec<(usize, usize)>,
}

impl Pristine {
    /// Copies the writable segments of the loaded library whose path contains `name`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let mut search = Search { name, writable: Vec::new(), read_only_after_loading: Vec::new() };
        // SAFETY: the callback gets the pointer to `search`, which lives until the call returns.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
        let mut parts = Vec::new();
        for (from, to) in search.writable {
            // The loader write-protects a part at the beginning of the segment (RELRO).
            let from = search
                .read_only_after_loading
                .iter()
                .filter(|r| r.0 <= from && from < r.1)
                .map(|r| r.1.next_multiple_of(4096))
                .next()
                .unwrap_or(from);
            if from < to {
                // SAFETY: the range is a mapped segment of a loaded library that is never unloaded.
                let bytes = unsafe { std::slice::from_raw_parts(from as *const u8, to - from) }.to_vec();
                parts.push((from as *mut u8, bytes));
            }
        }
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// Writes the copy back.
    ///
    /// # Safety
    /// No thread may be inside the library, and nothing obtained from it since loading may be used again.
    pub(crate) unsafe fn restore(&self) {
        for (at, bytes) in &self.parts {
            // SAFETY: `at` is the writable segment the copy was made from, of the same length.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), *at, bytes.len()) };
        }
    }
}

unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid record, and `data` is the `Search` given to dl_iterate_phdr.
    let (info, search) = unsafe { (&*info, &mut *data.cast::<Search<'_>>()) };
    if info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: dlpi_name is a string with an end, valid during the callback.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    if !name.to_string_lossy().contains(search.name) {
        return 0;
    }
    for i in 0..usize::from(info.dlpi_phnum) {
        // SAFETY: the loader gives dlpi_phnum program headers.
        let header = unsafe { &*info.dlpi_phdr.add(i) };
        let from = info.dlpi_addr as usize + header.p_vaddr as usize;
        let range = (from, from + header.p_memsz as usize);
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0 {
            search.writable.push(range);
        } else if header.p_type == libc::PT_GNU_RELRO {
            search.read_only_after_loading.push(range);
        }
    }
    1
}
