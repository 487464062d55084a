//! An interpreter in this process whose three tables are watched.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::list::Piece;
use crate::tape::{Kind, Tape};

type Pointer = *mut c_void;

/// `PyMemAllocatorEx`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Table {
    ctx: Pointer,
    malloc: unsafe extern "C" fn(Pointer, usize) -> Pointer,
    calloc: unsafe extern "C" fn(Pointer, usize, usize) -> Pointer,
    realloc: unsafe extern "C" fn(Pointer, Pointer, usize) -> Pointer,
    free: unsafe extern "C" fn(Pointer, Pointer),
}

/// `PyMethodDef`.
#[repr(C)]
struct Method {
    name: *const c_char,
    function: unsafe extern "C" fn(Pointer, Pointer) -> Pointer,
    flags: c_int,
    doc: *const c_char,
}

/// `METH_O`, `Py_eval_input` and `Py_file_input`.
const METH_O: c_int = 8;
const EVAL: c_int = 258;
const FILE: c_int = 257;

/// Everything that hooks and marks need, for the one thread that there is.
struct Watch {
    inner: Vec<Table>,
    /// Whether a call is inside another one: pymalloc passes large requests on to RAW.
    within: bool,
    /// Whether calls go on the tape.
    on: bool,
    /// Whether this is the run that is recorded.
    recorded: bool,
    tape: Tape,
    /// The namespace of the piece, and its names with their objects as keys.
    ground: Pointer,
    names: Vec<(String, Pointer)>,
    functions: Option<Functions>,
}

#[derive(Clone, Copy)]
struct Functions {
    collect: unsafe extern "C" fn() -> isize,
    get_item: unsafe extern "C" fn(Pointer, Pointer) -> Pointer,
    as_long: unsafe extern "C" fn(Pointer) -> c_long,
    incref: unsafe extern "C" fn(Pointer),
    none: Pointer,
}

struct Cell(UnsafeCell<Watch>);
// SAFETY: the process has one thread that runs Python, and nothing else touches it.
unsafe impl Sync for Cell {}

static WATCH: Cell = Cell(UnsafeCell::new(Watch {
    inner: Vec::new(),
    within: false,
    on: false,
    recorded: false,
    tape: Tape::new(),
    ground: std::ptr::null_mut(),
    names: Vec::new(),
    functions: None,
}));

fn watch() -> *mut Watch {
    WATCH.0.get()
}

/// Passes a call on, and tells the tape of it unless it came from inside another one.
unsafe fn pass<T>(
    domain: Pointer,
    call: impl FnOnce(&Table) -> T,
    tell: impl FnOnce(&mut Tape, usize, &T),
) -> T {
    let domain = domain as usize;
    let watch = watch();
    // SAFETY: one thread; no reference is kept over the inner call, which may come back here.
    unsafe {
        let table = (&(*watch).inner)[domain];
        let outer = (*watch).within;
        (*watch).within = true;
        let answer = call(&table);
        (*watch).within = outer;
        if !outer && (*watch).on {
            tell(&mut (*watch).tape, domain, &answer);
        }
        answer
    }
}

unsafe extern "C" fn malloc(ctx: Pointer, n: usize) -> Pointer {
    // SAFETY: the table below, with its own ctx.
    unsafe {
        pass(
            ctx,
            |t| (t.malloc)(t.ctx, n),
            |tape, domain, p| tape.made(Kind::Malloc(n), domain, *p as usize, n),
        )
    }
}

unsafe extern "C" fn calloc(ctx: Pointer, n: usize, size: usize) -> Pointer {
    // SAFETY: as in `malloc`.
    unsafe {
        pass(
            ctx,
            |t| (t.calloc)(t.ctx, n, size),
            |tape, domain, p| tape.made(Kind::Calloc(n, size), domain, *p as usize, n * size),
        )
    }
}

unsafe extern "C" fn realloc(ctx: Pointer, p: Pointer, n: usize) -> Pointer {
    // SAFETY: as in `malloc`.
    unsafe {
        pass(
            ctx,
            |t| (t.realloc)(t.ctx, p, n),
            |tape, domain, new| tape.resized(domain, p as usize, *new as usize, n),
        )
    }
}

unsafe extern "C" fn free(ctx: Pointer, p: Pointer) {
    // SAFETY: as in `malloc`.
    unsafe { pass(ctx, |t| (t.free)(t.ctx, p), |tape, domain, ()| tape.freed(domain, p as usize)) }
}

/// What the piece calls behind each statement, with the number of its line; with 0 before the first that is recorded.
unsafe extern "C" fn mark(_: Pointer, line: Pointer) -> Pointer {
    let watch = watch();
    // SAFETY: CPython calls it with the GIL and an int. Nothing here asks Python for memory while the tape is on.
    unsafe {
        (*watch).on = false;
        let Some(f) = (*watch).functions else { return std::ptr::null_mut() };
        let number = (f.as_long)(line);
        if (*watch).recorded {
            if number == 0 {
                (f.collect)();
                (*watch).tape = Tape::new();
            } else {
                let names = &(*watch).names;
                let here: Vec<(String, Pointer)> = names
                    .iter()
                    .map(|(name, key)| (name.clone(), (f.get_item)((*watch).ground, *key)))
                    .filter(|(_, object)| !object.is_null())
                    .collect();
                let tape = &mut (*watch).tape;
                for (name, object) in &here {
                    tape.name(*object as usize, name);
                }
                for (name, object) in &here {
                    parts(tape, name, *object);
                }
                tape.line(number as u32);
            }
            (*watch).on = true;
        }
        (f.incref)(f.none);
        f.none
    }
}

/// Names the blocks that belong to an object.
///
/// # Safety
/// `object` must be alive.
unsafe fn parts(tape: &mut Tape, name: &str, object: Pointer) {
    // SAFETY: the layouts of 64-bit builds without debugging, 3.8 to 3.13: reference count, type, then the type's own.
    unsafe {
        let word = |at: Pointer, index: usize| *at.cast::<usize>().add(index);
        let kind = word(object, 1) as Pointer;
        let kind_name = CStr::from_ptr(word(kind, 3) as *const c_char).to_string_lossy().into_owned();
        match kind_name.as_str() {
            "list" => {
                let (len, items) = (word(object, 2), word(object, 3));
                tape.name(items, &format!("{name}.items"));
                for index in 0..len {
                    let item = word(items as Pointer, index);
                    tape.name(item, &format!("{name}[{index}]"));
                }
            }
            "dict" => {
                tape.name(word(object, 4), &format!("{name}.keys"));
            }
            "set" => {
                tape.name(word(object, 5), &format!("{name}.table"));
            }
            "generator" => {
                tape.name(word(object, 2), &format!("{name}.frame"));
            }
            _ => {}
        }
    }
}

/// What is run once beforehand: it makes the code of a piece and the ground that it stands on, with room for its names.
const PREPARE: &str = r"
import ast, gc
gc.set_threshold(0)
def prepare(text, first):
    body, names = [], []
    call = lambda line: ast.parse('_mark(%d)' % line).body[0]
    for statement in ast.parse(text).body:
        if statement.lineno >= first and not names:
            body.append(call(0))
            names.append('_mark')
        body.append(statement)
        if statement.lineno >= first:
            body.append(call(statement.lineno))
    tree = ast.parse(text)
    stored = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    tree.body = body
    return compile(tree, '<piece>', 'exec'), ' '.join(sorted(set(stored)))
def ground():
    room = {'_%d' % n: None for n in range(60)}
    room.update(__builtins__=__builtins__, __name__='piece', _mark=_mark)
    return room
code, names = prepare(text, first)
exec(code, ground())
gc.collect()
space = ground()
";

/// Runs a piece.
pub(crate) fn record(library: &Path, piece: &Piece) -> Result<Tape, String> {
    // SAFETY: libpython's initialisers only fill its own tables; it is never unloaded.
    let library =
        unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) }.map_err(|e| e.to_string())?;
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the documented signatures of the C API, called by the one thread, which has the GIL.
    unsafe {
        *symbol::<*mut c_int>(library, "Py_NoSiteFlag")? = 1;
        symbol::<unsafe extern "C" fn(c_int)>(library, "Py_InitializeEx")?(0);
        let set_item: unsafe extern "C" fn(Pointer, *const c_char, Pointer) -> c_int =
            symbol(library, "PyDict_SetItemString")?;
        let get_item: unsafe extern "C" fn(Pointer, *const c_char) -> Pointer =
            symbol(library, "PyDict_GetItemString")?;
        let text_of: unsafe extern "C" fn(*const c_char) -> Pointer =
            symbol(library, "PyUnicode_InternFromString")?;
        let number: unsafe extern "C" fn(c_long) -> Pointer = symbol(library, "PyLong_FromLong")?;
        let run: unsafe extern "C" fn(*const c_char, c_int, Pointer, Pointer) -> Pointer =
            symbol(library, "PyRun_String")?;
        let evaluate: unsafe extern "C" fn(Pointer, Pointer, Pointer) -> Pointer =
            symbol(library, "PyEval_EvalCode")?;
        let print: unsafe extern "C" fn() = symbol(library, "PyErr_Print")?;
        let utf8: unsafe extern "C" fn(Pointer) -> *const c_char = symbol(library, "PyUnicode_AsUTF8")?;
        let function: unsafe extern "C" fn(*const Method, Pointer, Pointer) -> Pointer =
            symbol(library, "PyCFunction_NewEx")?;
        let module = symbol::<unsafe extern "C" fn(*const c_char) -> Pointer>(library, "PyImport_AddModule")?(
            c"__main__".as_ptr(),
        );
        let main = symbol::<unsafe extern "C" fn(Pointer) -> Pointer>(library, "PyModule_GetDict")?(module);
        (*watch()).functions = Some(Functions {
            collect: symbol(library, "PyGC_Collect")?,
            get_item: symbol(library, "PyDict_GetItem")?,
            as_long: symbol(library, "PyLong_AsLong")?,
            incref: symbol(library, "Py_IncRef")?,
            none: symbol(library, "_Py_NoneStruct")?,
        });
        let method = Method { name: c"_mark".as_ptr(), function: mark, flags: METH_O, doc: std::ptr::null() };
        let method = Box::leak(Box::new(method));
        let text = CString::new(piece.text).map_err(|e| e.to_string())?;
        set_item(main, c"_mark".as_ptr(), function(method, std::ptr::null_mut(), std::ptr::null_mut()));
        set_item(main, c"text".as_ptr(), text_of(text.as_ptr()));
        set_item(main, c"first".as_ptr(), number(c_long::from(piece.first)));
        let prepare = CString::new(PREPARE).map_err(|e| e.to_string())?;
        if run(prepare.as_ptr(), FILE, main, main).is_null() {
            print();
            return Err("it cannot be compiled, or does not run".to_owned());
        }
        let names = CStr::from_ptr(utf8(get_item(main, c"names".as_ptr()))).to_string_lossy().into_owned();
        for name in names.split_whitespace() {
            let key = CString::new(name).map_err(|e| e.to_string())?;
            (*watch()).names.push((name.to_owned(), text_of(key.as_ptr())));
        }
        let space = run(c"space".as_ptr(), EVAL, main, main);
        let code = get_item(main, c"code".as_ptr());
        (*watch()).ground = space;
        hook(library)?;
        (*watch()).recorded = true;
        let answer = evaluate(code, space, space);
        (*watch()).on = false;
        (*watch()).recorded = false;
        if answer.is_null() {
            print();
            return Err("it ended with an error".to_owned());
        }
        Ok(std::mem::replace(&mut (*watch()).tape, Tape::new()))
    }
}

/// Puts the watch over all three tables.
///
/// # Safety
/// The library must be a libpython that runs in this thread.
unsafe fn hook(library: &Library) -> Result<(), String> {
    // SAFETY: structs are copied in and out; the contexts are numbers.
    unsafe {
        let get: unsafe extern "C" fn(c_int, *mut Table) = symbol(library, "PyMem_GetAllocator")?;
        let set: unsafe extern "C" fn(c_int, *mut Table) = symbol(library, "PyMem_SetAllocator")?;
        for domain in 0..3 {
            let mut table = Table { ctx: std::ptr::null_mut(), malloc, calloc, realloc, free };
            get(domain, &raw mut table);
            (*watch()).inner.push(table);
        }
        for domain in 0..3 {
            let mut table = Table { ctx: domain as Pointer, malloc, calloc, realloc, free };
            set(domain, &raw mut table);
        }
    }
    Ok(())
}

/// A function or a variable of the library.
///
/// # Safety
/// `T` must be the type of a pointer to it.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    let c_name = CString::new(name).map_err(|e| e.to_string())?;
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<T>(c_name.as_bytes_with_nul()) }
        .map(|s| *s)
        .map_err(|e| format!("it has no {name} ({e})"))
}
