//! Runs short pieces of Python in a real interpreter and writes, line by line, what each asked of the allocators, as lessons
//! (`traces/python`).
//!
//! `snippets` alone records all of them with the interpreters that are here; `snippets list` names the files. `snippets record LIBRARY VERSION ID` prints
//! one: a process of its own, since a process has one libpython. `PYTHONHOME` and `PYTHONHASHSEED=0` must be set there.
//!
//! A piece is compiled beforehand, with a call of [`mark`](python) behind each statement, so that compiling is not on the
//! tape. It runs once unrecorded, for caches to be filled, and then with the types' own free lists emptied.

#![expect(unsafe_code, reason = "it calls CPython through its C interface")]
#![expect(clippy::print_stdout, reason = "what it is for")]

mod lesson;
mod list;
mod python;
mod tape;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use real_cpython::interpreters::{self, Interpreter};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => all(),
        ["list"] => {
            names().for_each(|(_, _, file)| println!("{file}"));
            Ok(())
        }
        ["record", library, version, id] => one(library, version, id).map(|text| print!("{text}")),
        _ => Err(anyhow::anyhow!("it takes no words, `list`, or `record LIBRARY VERSION ID`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("snippets: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// Records one piece in this process.
fn one(library: &str, version: &str, id: &str) -> Result<String> {
    let piece = list::PIECES.iter().find(|piece| piece.id == id);
    let piece = piece.with_context(|| format!("there is no piece called {id}"))?;
    let tape = python::record(Path::new(library), piece).map_err(anyhow::Error::msg)?;
    if tape.unnamed > 0 {
        bail!(
            "{id}: {} calls are about blocks from before line {}; begin earlier",
            tape.unnamed,
            piece.first
        );
    }
    Ok(lesson::written(piece, version, &tape))
}

/// Each piece with each minor version that it is recorded with, and the name of its file.
fn names() -> impl Iterator<Item = (&'static list::Piece, u32, String)> {
    let each = |piece: &'static list::Piece| {
        piece.minors.iter().map(move |minor| (piece, *minor, format!("{}-3.{minor}.ron", piece.id)))
    };
    list::PIECES.iter().flat_map(each)
}

/// Records all pieces, each in a process of its own.
fn all() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/python");
    std::fs::create_dir_all(&folder)?;
    let here = interpreters::required().map_err(anyhow::Error::msg)?;
    for (piece, minor, file) in names() {
        let interpreter = here.iter().find(|i| (i.version.0, i.version.1) == (3, minor));
        let Some(interpreter) = interpreter else {
            bail!("there is no CPython 3.{minor} here; `pyenv install 3.{minor}` builds one")
        };
        std::fs::write(folder.join(&file), child(interpreter, piece.id)?)?;
        println!("{file}");
    }
    Ok(())
}

fn child(interpreter: &Interpreter, id: &str) -> Result<Vec<u8>> {
    let (prefix, library) = interpreter.shared_library().context("it has no libpython")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["record", &library.to_string_lossy(), &interpreter.to_string(), id]);
    command.env_clear().env("PYTHONHOME", prefix).env("PYTHONHASHSEED", "0");
    let output = command.output()?;
    if !output.status.success() {
        bail!(
            "{id} with {interpreter}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
