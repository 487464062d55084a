//! The C library's functions that are needed here, declared by hand: a 32-bit build of this program has no crate but
//! `std`. Linux on x86, with either width of pointers.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};

pub(crate) const PROT_NONE: c_int = 0;
pub(crate) const PROT_READ_WRITE: c_int = 3;
const MAP_PRIVATE: c_int = 0x2;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_NORESERVE: c_int = 0x4000;
/// Where it is said, over what is there.
pub(crate) const MAP_FIXED: c_int = 0x10;
/// Where it is said, and not over anything.
pub(crate) const MAP_FIXED_NOREPLACE: c_int = 0x0010_0000;
const RTLD_NOW: c_int = 0x2;
const RTLD_GLOBAL: c_int = 0x100;
/// SIGABRT, SIGBUS, SIGSEGV and SIGALRM.
const DEADLY: [c_int; 4] = [6, 7, 11, 14];
/// A run that takes longer goes in circles.
const MOST_SECONDS: c_uint = 900;

/// `FILE`.
pub(crate) type File = c_void;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn mmap(at: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, from: c_long) -> *mut c_void;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> *mut c_void;
    fn alarm(seconds: c_uint) -> c_uint;
    fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize;
    fn _exit(code: c_int) -> !;
    fn fork() -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn open_memstream(text: *mut *mut c_char, len: *mut usize) -> *mut File;
    fn fclose(file: *mut File) -> c_int;
    fn free(p: *mut c_void);
}

/// A loaded library.
pub(crate) struct Library(*mut c_void);

impl Library {
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        let name = CString::new(path).map_err(|e| e.to_string())?;
        // SAFETY: strings with an end; libpython's initialisers only fill its own tables, and it is never unloaded.
        unsafe {
            let library = dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL);
            if library.is_null() {
                return Err(CStr::from_ptr(dlerror()).to_string_lossy().into_owned());
            }
            Ok(Self(library))
        }
    }

    /// A function or a variable of the library.
    ///
    /// # Safety
    /// `T` must be the type of a pointer to it.
    pub(crate) unsafe fn get<T: Copy>(&self, name: &str) -> Result<T, String> {
        const { assert!(size_of::<T>() == size_of::<*mut c_void>()) };
        let c_name = CString::new(name).map_err(|e| e.to_string())?;
        // SAFETY: the library is loaded, and the caller vouches for the type.
        unsafe {
            let symbol = dlsym(self.0, c_name.as_ptr());
            if symbol.is_null() {
                Err(format!("it has no {name}"))
            } else {
                Ok(std::mem::transmute_copy(&symbol))
            }
        }
    }
}

/// Maps anonymous memory at a place; what is there already is replaced with [`MAP_FIXED`].
///
/// # Safety
/// With [`MAP_FIXED`] nobody may use what is there.
pub(crate) unsafe fn map(at: usize, len: usize, prot: c_int, how: c_int) -> Result<(), String> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how;
    // SAFETY: as the caller vouches.
    let got = unsafe { mmap(at as *mut c_void, len, prot, flags, -1, 0) };
    if got as usize == at {
        return Ok(());
    }
    Err(format!("{len} bytes at {at:#x} cannot be had: {}", std::io::Error::last_os_error()))
}

/// What a function writes into a `FILE *`.
pub(crate) fn written(write: impl FnOnce(*mut File)) -> Result<String, String> {
    let (mut text, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: open_memstream and fclose as documented: afterwards `text` holds `len` bytes that we own and free.
    unsafe {
        let file = open_memstream(&raw mut text, &raw mut len);
        if file.is_null() {
            return Err("no memory for a text".to_owned());
        }
        write(file);
        fclose(file);
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len).to_vec();
        free(text.cast());
        String::from_utf8(bytes).map_err(|e| e.to_string())
    }
}

/// Calls `handler` when the process is about to die, or does not come to an end.
pub(crate) fn on_death(handler: extern "C" fn(c_int)) {
    for number in DEADLY {
        // SAFETY: the handler ends the process by `end`.
        unsafe { signal(number, handler) };
    }
    // SAFETY: it sets a timer.
    unsafe { alarm(MOST_SECONDS) };
}

/// Ends the process with some last words on standard output, as CPython's own end would not.
pub(crate) fn end(words: &[&[u8]], code: c_int) -> ! {
    for mut rest in words.iter().copied() {
        while !rest.is_empty() {
            // SAFETY: bytes that are there.
            let wrote = unsafe { write(1, rest.as_ptr().cast(), rest.len()) };
            if wrote <= 0 {
                break;
            }
            rest = &rest[wrote as usize..];
        }
    }
    // SAFETY: it runs nothing more of this process.
    unsafe { _exit(code) }
}

/// Goes on as it is in a process of its own and waits until that has ended: `true` in the new one. This program has one thread.
pub(crate) fn forked() -> Result<bool, String> {
    // SAFETY: with one thread nothing is left half done in the new process, which ends by `end`.
    unsafe {
        match fork() {
            0 => Ok(true),
            child if child > 0 && waitpid(child, std::ptr::null_mut(), 0) == child => Ok(false),
            _ => Err(format!("no process can be had: {}", std::io::Error::last_os_error())),
        }
    }
}
