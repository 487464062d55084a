//! Time by a thread's own work, which other programs on the machine do not advance.

/// A moment of this thread's processor time.
#[derive(Clone, Copy)]
pub struct WorkClock(libc::timespec);

impl WorkClock {
    /// Now.
    pub fn now() -> Self {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call fills the struct it is given.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
        Self(now)
    }

    /// Nanoseconds of work since, the system's work for this thread included.
    pub fn elapsed_ns(self) -> f64 {
        let now = Self::now().0;
        (now.tv_sec - self.0.tv_sec) as f64 * 1e9 + (now.tv_nsec - self.0.tv_nsec) as f64
    }
}
