//! The libpython that somebody names, or that `python3` belongs to, ready to be driven.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim_core::Profile;

use crate::beside::{Driver, Real};
use crate::interpreters;

/// What can be done where there is none.
const REMEDY: &str = "on Debian and Ubuntu `apt-get install libpython3-dev` provides one, elsewhere \
                      `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.13`; or name a library with --live=LIBPYTHON";

/// The library that is named; else the one of `python3`; else that of the newest interpreter which has one.
pub fn find(named: Option<&Path>, driver: Driver) -> Result<Real, String> {
    if let Some(library) = named {
        if !library.is_file() {
            return Err(format!("{}: it is no file; name a libpython3.N.so", library.display()));
        }
        return open(library, driver);
    }
    if let Some(library) = of_python3() {
        return open(&library, driver);
    }
    let interpreters = interpreters::required().unwrap_or_default();
    match interpreters.iter().rev().find_map(interpreters::Interpreter::shared_library) {
        Some((_, library)) => open(&library, driver),
        None => Err(format!("no libpython was found; {REMEDY}")),
    }
}

/// The library of the `python3` on the search path, where that was built with one.
fn of_python3() -> Option<PathBuf> {
    let program = "import sysconfig as s; print(s.get_config_var('LIBDIR')); print(s.get_config_var('INSTSONAME')); \
                   print(s.get_config_var('LDLIBRARY')); print(s.get_config_var('MULTIARCH'))";
    let mut python = Command::new("python3");
    let output = python.args(["-I", "-S", "-c", program]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let lines: Vec<&str> = text.lines().collect();
    let [folder, names @ .., architecture] = lines.as_slice() else { return None };
    let folders = [PathBuf::from(folder), Path::new(folder).join(architecture)];
    let names: Vec<&str> = names.iter().copied().filter(|name| name.contains(".so")).collect();
    folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|path| path.is_file())
}

/// A library with its version and the installation that it belongs to.
fn open(library: &Path, driver: Driver) -> Result<Real, String> {
    let shown = library.display();
    let output = driver.command().arg(library).arg("version").output();
    let output = output.map_err(|why| format!("{}: {why}", driver.program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{shown}: it is no libpython: {}", said.trim_start_matches("driver: ").trim()));
    }
    let version = said.split(' ').next().unwrap_or_default().to_owned();
    let mut numbers =
        version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) < (3, 8) || major > 3 {
        return Err(format!(
            "{shown}: it is CPython {version}; lessons are about 3.8 and later, so name a newer one"
        ));
    }
    if said.contains("free-threading") {
        return Err(format!(
            "{shown}: it is a free-threaded build, in which mimalloc serves, and what is driven is pymalloc; name a library of an ordinary build"
        ));
    }
    let home = library.canonicalize().ok().and_then(|library| {
        let landmark = format!("lib/python3.{minor}/os.py");
        library.ancestors().skip(1).find(|folder| folder.join(&landmark).is_file()).map(Path::to_owned)
    });
    let Some(home) = home else {
        return Err(format!(
            "{shown}: the standard library of Python 3.{minor} does not lie beside it, and the interpreter cannot start without; name the library of a whole installation"
        ));
    };
    let profile = Profile::for_python(&format!("3.{minor}")).profile;
    Ok(Real { name: version, driver, library: library.to_owned(), home: Some(home), profile })
}
