//! Where the memory of arenas comes from.
//!
//! On unix it is `mmap`. Elsewhere, and where an interpreter runs the tests, it is Rust's own allocator,
//! which passes requests of this size on to the system.

use std::ptr::NonNull;

use thiserror::Error;

/// The system gave no address space for arenas at chosen places.
#[derive(Debug, Error)]
#[error(
    "the system reserves no {gib} GiB of address space for the arenas ({source}); raise `ulimit -v`, or \
         allow overcommit"
)]
pub struct ReserveError {
    /// What was asked for.
    pub gib: u64,
    /// What the system said.
    pub source: std::io::Error,
}

/// The alignment that any system gives.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Placed arenas lie in one window of this size, at a multiple of it: one bottom node of `CPython`'s radix
/// tree, as in the simulation.
pub(crate) const WINDOW_BYTES: usize = 16 << 30;

#[cfg(all(unix, not(miri)))]
mod system {
    use std::io;
    use std::ptr::{self, NonNull};

    use super::{PAGE_BYTES, ReserveError, WINDOW_BYTES};

    /// New memory, all zero, at least page-aligned.
    pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
        map_with(bytes, 0).ok()
    }

    fn map_with(bytes: usize, flags: libc::c_int) -> io::Result<NonNull<u8>> {
        // SAFETY: an anonymous private mapping at a place the kernel chooses touches no memory in use.
        let got = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
                -1,
                0,
            )
        };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(got.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))
    }

    /// # Safety
    /// The range must be one that [`map`] gave or a part of it, and nothing may use it any more.
    pub(crate) unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's range is a mapping of ours. A refusal leaves it mapped, which is harmless.
        unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
    }

    /// A window of address space whose pages take memory only once they are touched.
    pub(crate) struct Window(NonNull<u8>);

    impl Window {
        pub(crate) fn reserve() -> Result<Self, ReserveError> {
            let twice = 2 * WINDOW_BYTES;
            let got = map_with(twice, libc::MAP_NORESERVE)
                .map_err(|source| ReserveError { gib: (twice >> 30) as u64, source })?;
            let before = got.align_offset(WINDOW_BYTES);
            // SAFETY: `before` is less than WINDOW_BYTES, so all three parts lie in the mapping just made,
            // and the two that are given back are not used.
            unsafe {
                let start = got.add(before);
                if before > 0 {
                    unmap(got, before);
                }
                unmap(start.add(WINDOW_BYTES), WINDOW_BYTES - before);
                Ok(Self(start))
            }
        }

        /// The arena at `offset`.
        pub(crate) fn arena(&mut self, offset: usize, bytes: usize, _shift: usize) -> Option<NonNull<u8>> {
            let fits = offset.checked_add(bytes).is_some_and(|end| end <= WINDOW_BYTES);
            // SAFETY: the arena lies in the window.
            fits.then(|| unsafe { self.0.add(offset) })
        }

        /// Brings the pages of the first `bytes` into memory. It writes the zeros that new pages hold, so it
        /// is for a window without arenas.
        pub(crate) fn touch(&mut self, bytes: usize) {
            for offset in (0..bytes.min(WINDOW_BYTES)).step_by(PAGE_BYTES) {
                // SAFETY: the byte lies in the window, which `&mut self` keeps to itself.
                unsafe { self.0.add(offset).write_volatile(0) };
            }
        }

        /// Gives the arena's pages back and keeps their addresses.
        ///
        /// # Safety
        /// The range must lie in a window, and nothing may use its contents any more.
        pub(crate) unsafe fn discard(at: NonNull<u8>, bytes: usize, _shift: usize) {
            // SAFETY: the caller gives a range of a window's mapping whose contents nobody needs.
            // The system may refuse on pages larger than the shift; then they stay, which is harmless.
            unsafe {
                libc::madvise(at.as_ptr().cast(), bytes.next_multiple_of(PAGE_BYTES), libc::MADV_DONTNEED)
            };
        }
    }

    impl Drop for Window {
        fn drop(&mut self) {
            // SAFETY: the window is this mapping, and its owner, the arenas, goes with it.
            unsafe { unmap(self.0, WINDOW_BYTES) };
        }
    }
}

#[cfg(not(all(unix, not(miri))))]
mod system {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    use super::{PAGE_BYTES, ReserveError};

    fn layout(bytes: usize, align: usize) -> Option<Layout> {
        Layout::from_size_align(bytes, align).ok().filter(|l| l.size() > 0)
    }

    /// New memory, all zero, at least page-aligned.
    pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: the layout is not empty.
        layout(bytes, PAGE_BYTES).and_then(|l| NonNull::new(unsafe { alloc_zeroed(l) }))
    }

    /// # Safety
    /// The range must be one that [`map`] gave, whole, and nothing may use it any more.
    pub(crate) unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
        if let Some(l) = layout(bytes, PAGE_BYTES) {
            // SAFETY: the caller's range came from `map` with this very layout.
            unsafe { dealloc(at.as_ptr(), l) };
        }
    }

    /// Arenas that are allocated one by one with their alignment and shift; the window is none, so that
    /// how many nodes the radix tree has is the system's chance.
    pub(crate) struct Window;

    /// The alignment of an arena before its shift.
    const fn align(bytes: usize) -> usize {
        if bytes.is_power_of_two() && bytes > 1 << 14 { bytes } else { 1 << 14 }
    }

    impl Window {
        pub(crate) fn reserve() -> Result<Self, ReserveError> {
            Ok(Self)
        }

        pub(crate) fn arena(&mut self, _offset: usize, bytes: usize, shift: usize) -> Option<NonNull<u8>> {
            let l = layout(bytes + shift, align(bytes))?;
            // SAFETY: the layout is not empty, and the shift lies in it.
            NonNull::new(unsafe { alloc_zeroed(l) }).map(|at| unsafe { at.add(shift) })
        }

        pub(crate) fn touch(&mut self, _bytes: usize) {}

        /// # Safety
        /// The range must be one that [`Self::arena`] gave with this shift; nothing may use it any more.
        pub(crate) unsafe fn discard(at: NonNull<u8>, bytes: usize, shift: usize) {
            if let Some(l) = layout(bytes + shift, align(bytes)) {
                // SAFETY: `arena` got this layout and added the shift.
                unsafe { dealloc(at.as_ptr().sub(shift), l) };
            }
        }
    }
}

pub(crate) use system::{Window, map, unmap};

/// What an arena is known by: its base with permission to use the memory behind it.
pub(crate) fn base_of(at: NonNull<u8>) -> sim_core::Addr {
    sim_core::Addr(at.as_ptr().expose_provenance() as u64)
}
