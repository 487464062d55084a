//! Runs a ptrace through the allocators of a real libpython, of any version and width, and prints where every block
//! landed, in the lines of `arenascope replay --placement -`, then `#stats` and what `sys._debugmallocstats()` prints.
//!
//! `driver LIBRARY TRACE KEY=VALUE…`. pymalloc begins as it was loaded: either the interpreter is never started, or, with
//! `start=yes` (from 3.12 on pymalloc belongs to an interpreter), it starts on the C library's memory and sleeps while the
//! trace runs. Then `PYTHONHOME` and `PYTHONMALLOC=malloc` must be set, or `malloc_debug` for a trace with debug hooks. Arenas lie where the simulation has them.
//!
//! With `each=yes` the file holds many traces, with lines `# next` between them. Each runs in a process forked from the one that has loaded
//! libpython, so that each meets it untouched; instead of the statistics it ends in what its last block's pool has in its header, and
//! how many blocks there are.
//!
//! `driver LIBRARY version` prints what `Py_GetVersion()` says, from which follows what the library is.
//!
//! It is a process of its own because that has one libpython: the program `driver`, or whatever hands its arguments on to [`run`]. It needs
//! nothing but `std` so that `rustc` alone builds the program for other targets. What it lacks of ptrace it refuses.

#![allow(
    unsafe_code,
    unreachable_pub,
    reason = "it calls CPython through its C interface, and is a program of its own too"
)]

mod arenas;
mod c;
mod python;
mod tables;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_int, c_void};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicPtr, Ordering};

use arenas::{Arenas, Hook, Layout};
use python::{Python, Tracemalloc};
use tables::{Call, Over};

/// What is to be printed, for the moment at which the process dies.
static OUT: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());

/// Bytes that the program writes at the beginning of each block.
const WRITTEN: usize = 24;

/// Does what the arguments say, which are those after the program's name, and ends the process. No other thread may run.
pub fn run(arguments: &[String]) -> ! {
    match drive(arguments) {
        Ok(said) => c::end(&[said.as_bytes()], 0),
        Err(why) => c::end(&[format!("driver: {why}\n").as_bytes()], 2),
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Options {
    layout: Layout,
    start: bool,
    books_fail_at: BTreeSet<u64>,
    /// The program writes nothing into its blocks but what the trace says.
    quiet: bool,
    /// The file holds many traces.
    each: bool,
    pool_size: usize,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            let bad = || format!("`{word}` is no option");
            let (key, value) = word.split_once('=').ok_or_else(bad)?;
            let number = || value.parse::<usize>().map_err(|_| bad());
            let layout = &mut options.layout;
            match key {
                "start" => options.start = value == "yes",
                "quiet" => options.quiet = value == "yes",
                "each" => options.each = value == "yes",
                "pool_size" => options.pool_size = number()?,
                "region" => layout.region = number()?,
                "stride" => layout.stride = number()?,
                "slots" => layout.slots = number()?,
                "arena_size" => layout.arena_size = number()?,
                "arena_limit" => layout.limit = Some(number()?),
                "arena_fail_at" => layout.fail_at = numbers(value).ok_or_else(bad)?,
                "bookkeeping_fail_at" => options.books_fail_at = numbers(value).ok_or_else(bad)?,
                "shifts" => {
                    let shifts: Vec<usize> = value.split(',').filter_map(|n| n.parse().ok()).collect();
                    layout.shifts = shifts.try_into().map_err(|_| bad())?;
                }
                _ => return Err(bad()),
            }
        }
        let Layout { region, stride, slots, arena_size, .. } = options.layout;
        if [region, stride, slots, arena_size].contains(&0) {
            return Err("give region=, stride=, slots= and arena_size=".to_owned());
        }
        if options.each && !options.pool_size.is_power_of_two() {
            return Err("give pool_size= with each=yes".to_owned());
        }
        Ok(options)
    }
}

fn numbers(list: &str) -> Option<BTreeSet<u64>> {
    list.split(',').map(|n| n.parse().ok()).collect()
}

fn drive(arguments: &[String]) -> Result<String, String> {
    let [library, trace, options @ ..] = arguments else {
        return Err("name a libpython and a ptrace".to_owned());
    };
    if trace == "version" && options.is_empty() {
        return python::version(library);
    }
    let options = Options::parse(options)?;
    let trace = std::fs::read_to_string(trace).map_err(|e| format!("{trace}: {e}"))?;
    let setup = Setup::of(&trace)?;
    let python = Python::load(library)?;
    let tracemalloc = options.start.then(|| python.start(setup.debug)).transpose()?;
    // All of it stays where it is until the process ends.
    let driver = Box::leak(Box::new(Driver {
        python,
        tracemalloc,
        arenas: Arenas::reserve(options.layout)?,
        during: Cell::new(None),
        quiet: options.quiet,
        pointers: HashMap::new(),
        last: None,
        hooks: Vec::new(),
        overs: Vec::new(),
        out: String::new(),
    }));
    OUT.store(&raw mut driver.out, Ordering::Relaxed);
    c::on_death(died);
    driver.begin(&trace, setup, options.books_fail_at)?;
    if options.each {
        for part in trace.split("# next\n") {
            if c::forked()? {
                c::on_death(died);
                driver.run(part)?;
                driver.tell(options.pool_size);
                c::end(&[driver.out.as_bytes()], 0);
            }
        }
        return Ok(String::new());
    }
    driver.run(&trace)?;
    driver.finish()?;
    Ok(std::mem::take(&mut driver.out))
}

/// What `PYTHONMALLOC` would install.
#[derive(Clone, Copy)]
struct Setup {
    pymalloc: bool,
    debug: bool,
}

impl Setup {
    fn of(trace: &str) -> Result<Self, String> {
        let mut malloc = "pymalloc";
        for word in trace.lines().filter_map(|line| line.strip_prefix("#! ")).flat_map(|line| line.split(' '))
        {
            malloc = word.strip_prefix("malloc=").ok_or_else(|| format!("`{word}` is an option here"))?;
        }
        let (pymalloc, debug) = match malloc {
            "pymalloc" | "default" => (true, false),
            "pymalloc_debug" | "debug" => (true, true),
            "malloc" => (false, false),
            "malloc_debug" => (false, true),
            _ => return Err(format!("PYTHONMALLOC={malloc} is not known here")),
        };
        Ok(Self { pymalloc, debug })
    }
}

extern "C" fn died(signal: c_int) {
    let out = OUT.load(Ordering::Relaxed);
    // SAFETY: the string stays where it is. If the process died while it grew, the last words may be garbled.
    let said = unsafe { out.as_ref() }.map_or(&[][..], |out| out.as_bytes());
    c::end(&[said, format!("signal {signal}\n").as_bytes()], 3);
}

struct Driver {
    python: Python,
    tracemalloc: Option<Tracemalloc>,
    arenas: Arenas,
    /// The call through MEM or OBJ that is going on.
    during: Cell<Option<Call>>,
    quiet: bool,
    pointers: HashMap<u64, *mut c_void>,
    /// The last block that lay in an arena.
    last: Option<usize>,
    hooks: Vec<&'static mut Hook>,
    overs: Vec<&'static mut Over>,
    out: String,
}

impl Driver {
    /// Tables and the arena hook as the trace's head and the options want them.
    fn begin(&mut self, trace: &str, setup: Setup, books_fail_at: BTreeSet<u64>) -> Result<(), String> {
        if let Some(tracemalloc) = &mut self.tracemalloc {
            for words in trace.lines().filter_map(|line| line.strip_prefix("x tracemalloc ")) {
                tracemalloc.prepare(words)?;
            }
            tracemalloc.prepare("is_tracing")?;
            tracemalloc.prepare("get_tracemalloc_memory")?;
            tracemalloc.prepare("get_traced_memory")?;
        }
        self.python.set_arena_allocator(self.arenas.hook());
        for (domain, pymalloc) in [1, 2].into_iter().zip(self.python.pymalloc) {
            let table = if setup.pymalloc { pymalloc } else { self.python.libc };
            self.python.set_allocator(domain, table);
        }
        if !books_fail_at.is_empty() {
            let during = &raw const self.during;
            let over = Box::leak(Box::new(Over::books(books_fail_at, during, self.python.allocator(0))));
            self.python.set_allocator(0, over.table());
        }
        if setup.debug {
            // RAW has its hook already where the interpreter has been started.
            self.python.setup_debug_hooks();
        }
        Ok(())
    }

    fn run(&mut self, trace: &str) -> Result<(), String> {
        for (number, line) in (1..).zip(trace.lines()) {
            if !line.is_empty() && !line.starts_with('#') {
                self.operation(line).map_err(|why| format!("line {number}, `{line}`: {why}"))?;
            }
        }
        Ok(())
    }

    fn operation(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default();
        if verb == "x" {
            self.act(&line[2..])?;
            return self.landed(None);
        }
        let domain: usize = match words.next() {
            Some("r") => 0,
            Some("m") => 1,
            Some("o") => 2,
            _ => return Err("it has no domain".to_owned()),
        };
        let mut number = || words.next().and_then(|n| n.parse::<u64>().ok()).ok_or("a number is missing");
        // More than size_t holds becomes the most that it holds, which is refused as well.
        let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let functions = self.python.domains[domain];
        let block = match verb {
            "m" => {
                let (id, size) = (number()?, bytes(number()?));
                // SAFETY: any size may be asked for.
                let p = self.call(domain, Call::Malloc, || unsafe { (functions.malloc)(size) });
                self.pointers.insert(id, p);
                (p, size)
            }
            "c" => {
                let (id, nelem, elsize) = (number()?, bytes(number()?), bytes(number()?));
                let call = Call::Calloc(nelem, elsize);
                // SAFETY: as above.
                let p = self.call(domain, call, || unsafe { (functions.calloc)(nelem, elsize) });
                self.pointers.insert(id, p);
                (p, nelem.wrapping_mul(elsize))
            }
            "r" => {
                let (id, newid, size) = (number()?, number()?, bytes(number()?));
                let old = if id == 0 { std::ptr::null_mut() } else { self.take(id)? };
                let call = if old.is_null() { Call::Malloc } else { Call::Realloc(old) };
                // SAFETY: what a trace of a program that breaks no rule passes on.
                let p = self.call(domain, call, || unsafe { (functions.realloc)(old, size) });
                self.pointers.insert(newid, if p.is_null() { old } else { p });
                (p, size)
            }
            "f" | "k" => {
                let id = number()?;
                let p = match (id, verb) {
                    (0, _) => std::ptr::null_mut(),
                    (_, "f") => self.take(id)?,
                    _ => self.pointer(id)?,
                };
                self.call(domain, Call::Free, || {
                    // SAFETY: as above.
                    unsafe { (functions.free)(p) };
                    std::ptr::null_mut()
                });
                return self.landed(None);
            }
            _ => return Err("it is no operation that is known here".to_owned()),
        };
        let (p, size) = block;
        if !p.is_null() && size > 0 && !self.quiet {
            // SAFETY: within the size that was asked for.
            unsafe {
                std::ptr::write_bytes(p.cast::<u8>(), size as u8 | 1, size.min(WRITTEN));
                *p.cast::<u8>().add(size - 1) = 0x5a;
            }
        }
        self.landed(Some(p as usize))
    }

    fn call(&self, domain: usize, call: Call, go: impl FnOnce() -> *mut c_void) -> *mut c_void {
        self.during.set((domain > 0).then_some(call));
        let p = go();
        self.during.set(None);
        p
    }

    fn take(&mut self, id: u64) -> Result<*mut c_void, String> {
        self.pointers.remove(&id).ok_or_else(|| format!("there is no block {id}"))
    }

    fn pointer(&self, id: u64) -> Result<*mut c_void, String> {
        self.pointers.get(&id).copied().ok_or_else(|| format!("there is no block {id}"))
    }

    /// `ID OFFSET BYTES`: the program writes where it likes.
    fn poke(&self, words: &str) -> Option<()> {
        let mut words = words.split(' ');
        let p = self.pointer(words.next()?.parse().ok()?).ok()?;
        let at = p.cast::<u8>().wrapping_offset(words.next()?.parse().ok()?);
        let digits = words.next()?;
        for (i, pair) in (0..digits.len()).step_by(2).enumerate() {
            let byte = u8::from_str_radix(digits.get(pair..pair + 2)?, 16).ok()?;
            // SAFETY: none: this is the program that breaks the rules, and the process may die of it.
            unsafe { at.wrapping_add(i).write_volatile(byte) };
        }
        Some(())
    }

    /// What follows `x `.
    fn act(&mut self, action: &str) -> Result<(), String> {
        let unknown = || "it is no action that is known here".to_owned();
        if action == "setup_debug_hooks" {
            self.python.setup_debug_hooks();
        } else if let Some(words) = action.strip_prefix("poke ") {
            self.poke(words).ok_or_else(unknown)?;
        } else if let Some(words) = action.strip_prefix("tracemalloc ") {
            self.tracemalloc.as_ref().ok_or("tracemalloc needs start=yes")?.run(words)?;
        } else if let Some(kind) = action.strip_prefix("set_arena_allocator ") {
            if kind == "default" {
                self.python.set_arena_allocator(self.arenas.hook());
                return Ok(());
            }
            let inner = self.python.arena_allocator(self.arenas.hook());
            let hook = Box::leak(Box::new(Hook::parse(kind, inner).ok_or_else(unknown)?));
            self.python.set_arena_allocator(hook.table());
            self.hooks.push(hook);
        } else if let Some(words) = action.strip_prefix("set_allocator ") {
            let (domain, kind) = words.split_once(' ').ok_or_else(unknown)?;
            let domain = match domain {
                "r" => 0,
                "m" => 1,
                _ => 2,
            };
            let table = match kind {
                "libc" => self.python.libc,
                // Both of them have the same functions.
                "pymalloc" => self.python.pymalloc[0],
                _ => {
                    let inner = self.python.allocator(domain);
                    let over = Box::leak(Box::new(Over::parse(kind, inner).ok_or_else(unknown)?));
                    let table = over.table();
                    self.overs.push(over);
                    table
                }
            };
            self.python.set_allocator(domain, table);
        } else {
            return Err(unknown());
        }
        Ok(())
    }

    /// Prints what became of an operation: arenas that came and went, and where a returned pointer lies.
    fn landed(&mut self, returned: Option<usize>) -> Result<(), String> {
        if let Some(why) = self.arenas.trouble.take() {
            return Err(why);
        }
        for (came, ordinal) in self.arenas.marks.drain(..) {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(self.out, "{}arena {ordinal}", if came { '+' } else { '-' });
        }
        match returned {
            None => self.out.push_str("-\n"),
            Some(0) => self.out.push_str("null\n"),
            Some(address) => match self.arenas.find(address) {
                Some((ordinal, offset)) => {
                    self.last = Some(address);
                    let _ = writeln!(self.out, "{ordinal} {offset}");
                }
                None => self.out.push_str("raw\n"),
            },
        }
        Ok(())
    }

    /// `nextoffset` and the blocks on the free list of the pool that the last block lies in, and the blocks that CPython counts.
    fn tell(&mut self, pool_size: usize) {
        const WORD: usize = size_of::<usize>();
        if let Some(last) = self.last.filter(|last| self.arenas.find(*last).is_some()) {
            let pool = last & !(pool_size - 1);
            // ref.count, freeblock, nextpool and prevpool, each as wide as a pointer; arenaindex and szidx; nextoffset.
            // SAFETY: the pool was carved, and its arena is still there.
            let (mut free, nextoffset) =
                unsafe { (*((pool + WORD) as *const usize), *((pool + 4 * WORD + 8) as *const u32)) };
            let mut linked = 0_u32;
            while free != 0 {
                linked += 1;
                // SAFETY: a free block begins with the address of the next one.
                free = unsafe { *(free as *const usize) };
            }
            let _ = writeln!(self.out, "#pool {nextoffset} {linked}");
        }
        if let Some(count) = self.python.allocated_blocks() {
            let _ = writeln!(self.out, "#blocks {count}");
        }
        self.out.push_str("#end\n");
    }

    /// The statistics, what tables and hooks counted, what tracemalloc says.
    fn finish(&mut self) -> Result<(), String> {
        self.out.push_str("#stats\n");
        self.out.push_str(&self.python.debugmallocstats()?);
        for over in &self.overs {
            let _ = writeln!(self.out, "table {:?}", over.calls);
        }
        for hook in &self.hooks {
            let _ = writeln!(self.out, "hook {:?}", hook.calls);
        }
        if let Some(tracemalloc) = &self.tracemalloc
            && tracemalloc.is_tracing()?
        {
            let [tables, current, peak] = tracemalloc.memory()?;
            let _ = writeln!(self.out, "traced {current} bytes, {peak} at most\ntables of {tables} bytes");
        }
        Ok(())
    }
}
