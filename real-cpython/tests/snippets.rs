//! Recordings of Python in `traces/python`, made again: the same lines ask for the same.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use real_cpython::interpreters::compared;
use real_cpython::outside::{self, files};
use trace_io::lesson::Lesson;

fn recordings() -> Vec<std::path::PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/python"), ".ron").unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn recordings_of_python_are_made_again_and_are_the_same() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        outside::not_run("recordings of Python, made again", "they were made on Linux with x86-64");
        return;
    }
    let Some(interpreters) = compared() else { return };
    let mut made = 0;
    for path in recordings() {
        let text = std::fs::read_to_string(&path).unwrap();
        let source = Lesson::parse(&text).unwrap().source.unwrap();
        let version = source.recorded.strip_prefix("CPython ").unwrap().split(',').next().unwrap();
        let found = interpreters.iter().find(|i| i.to_string() == version);
        let Some((interpreter, (prefix, library))) = found.and_then(|i| Some((i, i.shared_library()?)))
        else {
            outside::not_run(
                &format!("recordings of Python with CPython {version}, made again"),
                format!(
                    "none was found with its shared library; `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {version}` builds it"
                ),
            );
            continue;
        };
        let file = name(&path);
        let id = file.rsplit_once('-').unwrap().0;
        let mut command = Command::new(env!("CARGO_BIN_EXE_snippets"));
        command.arg("record").arg(library).arg(interpreter.to_string()).arg(id);
        command.env_clear().env("PYTHONHOME", prefix).env("PYTHONHASHSEED", "0");
        let output = command.output().unwrap();
        let again = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{file}: {again}{}", String::from_utf8_lossy(&output.stderr));
        let differs = again.lines().zip(text.lines()).find(|(now, then)| now != then);
        assert_eq!(differs, None, "{file}: what is recorded now, and what the file has");
        assert_eq!(again.lines().count(), text.lines().count(), "{file}");
        made += 1;
    }
    outside::compared("recordings of Python, made again", &format!("{made} files"));
}

#[test]
fn every_piece_has_its_files_and_every_file_its_piece() {
    let output = Command::new(env!("CARGO_BIN_EXE_snippets")).arg("list").output().unwrap();
    let mut listed: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    listed.sort();
    let mut there: Vec<String> = recordings().iter().map(|path| name(path)).collect();
    there.sort();
    assert_eq!(listed, there, "`cargo run -p real-cpython --bin snippets` writes them");
}
