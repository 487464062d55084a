//! memray from `PyPI`, in virtual environments that are kept under `target/` for the next time.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::interpreters::{self, Interpreter};
use crate::packages::{environment, folder, succeed};

/// Versions of memray, the newest first, with the format each writes. Older ones have no wheels for newer interpreters.
pub const VERSIONS: [(&str, u64); 3] = [("1.20.0", 13), ("1.19.3", 12), ("1.18.0", 11)];

/// A Python with memray installed.
pub struct Memray {
    python: PathBuf,
    /// Where recordings go, and what is made of them.
    pub folder: PathBuf,
    /// `memray-1.20.0-python-3.11.2`.
    pub name: String,
    /// Of the captures it writes.
    pub format: u64,
    /// The interpreter's.
    pub version: (u32, u32, u32),
}

impl Memray {
    /// The newest memray under the newest interpreter that has it.
    pub fn newest() -> Result<Self, String> {
        let (version, format) = VERSIONS[0];
        let mut why = "there is no CPython".to_owned();
        for interpreter in interpreters::required()?.iter().rev() {
            match Self::new(interpreter, version, format) {
                Ok(memray) => return Ok(memray),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// The environment of an earlier run, or a new one.
    pub fn new(interpreter: &Interpreter, memray: &str, format: u64) -> Result<Self, String> {
        let name = format!("memray-{memray}-python-{interpreter}");
        let python =
            environment(interpreter, &name, &[&format!("memray=={memray}"), "greenlet"])?.join("bin/python");
        let folder = folder();
        Ok(Self { python, folder, name, format, version: interpreter.version })
    }

    /// Its Python.
    pub fn python(&self) -> Command {
        Command::new(&self.python)
    }

    /// Records the program of `tests/memray_record.py` into a file that is kept until the next recording with these flags.
    pub fn record(&self, flags: &[&str]) -> Result<PathBuf, String> {
        let file = self.folder.join(format!("{}-{}.bin", self.name, flags.join("-")));
        succeed(self.python().arg(script("memray_record.py")).arg(&file).args(flags))?;
        Ok(file)
    }

    /// What memray's own reader says of a capture, as JSON.
    pub fn says(&self, capture: &Path) -> Result<Vec<u8>, String> {
        Ok(succeed(self.python().arg(script("memray_api.py")).arg(capture))?.stdout)
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
