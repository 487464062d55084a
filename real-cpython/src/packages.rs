//! Packages from `PyPI`, in virtual environments that are kept under `target/` for the next time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use crate::interpreters::Interpreter;

/// Where environments lie, and what tests keep beside them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp")
}

/// The environment of an earlier run by that name, or a new one with these packages, as wheels.
pub fn environment(interpreter: &Interpreter, name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    // One test makes it, and the others wait.
    static MADE: Mutex<()> = Mutex::new(());
    let _made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let environment = folder.join(name);
    let complete = environment.join("complete");
    if !complete.exists() {
        let venv = ["-m", "venv", "--clear"];
        succeed(Command::new(interpreter.path()).args(venv).arg(&environment))?;
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
        succeed(Command::new(environment.join("bin/python")).args(pip).args(packages))?;
        File::create(complete).map_err(|e| e.to_string())?;
    }
    Ok(environment)
}

/// Runs a program to its good end; the error is its last word.
pub fn succeed(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {}", output.status, said.lines().last().unwrap_or_default()))
}
