//! What did not run and why: gathered while the checks run, told as a table at their end, held to a list. Beside it, what
//! was compared with the real thing, and how much of it.
//!
//! A check that is silently left out looks like one that passed. Tests add lines to the files that [`VARIABLE`] and
//! [`COMPARED`] name (`trace-io/tests/support/outside.rs`), steps add theirs to the former.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace::{once_each, root};

/// Tells a test which file to add its lines to.
const VARIABLE: &str = "ARENASCOPE_NOT_RUN";

/// Tells a test which file to add to what it compared.
const COMPARED: &str = "ARENASCOPE_COMPARED";
/// Tells a test that comparisons which take minutes are wanted.
const LONG: &str = "ARENASCOPE_LONG";

/// What did not run: the same words on every machine, and the reason there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotRun {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// The files in which all of it comes together, and what tests are asked for.
pub(crate) struct Log {
    file: PathBuf,
    compared: PathBuf,
    long: bool,
}

impl Log {
    /// An empty one, `target/NAME.txt` and `target/NAME-compared.txt`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let made = |name: &str| {
            let file = root().join("target").join(name).with_extension("txt");
            let made = fs::create_dir_all(file.with_file_name("")).and_then(|()| fs::write(&file, ""));
            made.with_context(|| format!("{} cannot be written", file.display()))?;
            anyhow::Ok(file)
        };
        Ok(Self { file: made(name)?, compared: made(&format!("{name}-compared"))?, long: false })
    }

    /// The same, and tests that hear of it run comparisons that take minutes, if they are wanted.
    pub(crate) fn with_long(self, long: bool) -> Self {
        Self { long, ..self }
    }

    /// Writes down what a step of these tasks could not do.
    pub(crate) fn add(&self, what: &str, why: &str) -> Result<()> {
        println!("NOT RUN: {what}: {why}");
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut file = OpenOptions::new().append(true).open(&self.file)?;
        writeln!(file, "{what}\t{why}").with_context(|| format!("{} cannot be written", self.file.display()))
    }

    /// Has the tests that a command runs write into it.
    pub(crate) fn hear<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(VARIABLE, &self.file).env(COMPARED, &self.compared).env_remove(LONG);
        if self.long { command.env(LONG, "yes") } else { command }
    }

    /// What tests compared, as a table.
    pub(crate) fn compared(&self) -> Result<String> {
        let text = fs::read_to_string(&self.compared);
        let text = text.with_context(|| format!("{} cannot be read", self.compared.display()))?;
        let lines: Vec<(&str, &str)> = once_each(text.lines().filter_map(|line| line.split_once('\t')));
        Ok(if lines.is_empty() { String::new() } else { two_columns(("compared", "how much"), &lines) })
    }

    /// What was written, once each, in the order of happening.
    pub(crate) fn read(&self) -> Result<Vec<NotRun>> {
        let text = fs::read_to_string(&self.file);
        Ok(gathered(&text.with_context(|| format!("{} cannot be read", self.file.display()))?))
    }
}

/// The lines of a log. Many tests may lack the same thing.
fn gathered(text: &str) -> Vec<NotRun> {
    once_each(text.lines().map(|line| {
        let (what, why) = line.split_once('\t').unwrap_or((line, "no reason was given"));
        NotRun { what: what.to_owned(), why: why.to_owned() }
    }))
}

/// The table at the end of all checks.
pub(crate) fn table(lines: &[NotRun]) -> String {
    let lines: Vec<(&str, &str)> = lines.iter().map(|line| (line.what.as_str(), line.why.as_str())).collect();
    two_columns(("not run", "why"), &lines)
}

fn two_columns(head: (&str, &str), lines: &[(&str, &str)]) -> String {
    let all = || std::iter::once(&head).chain(lines);
    let width = all().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let row = |(left, right): &(&str, &str)| format!("{left:<width$}  {right}\n");
    all().map(row).collect()
}

/// A list of what may be missing somewhere: a name of the table a line, `#` begins a comment line.
pub(crate) struct Expected {
    file: String,
    names: Vec<String>,
}

impl Expected {
    /// The list in a file of the repository.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let shown = file.display().to_string();
        let text = fs::read_to_string(root().join(file));
        Self::parse(
            &shown,
            &text.with_context(|| format!("{shown}, the list of what may be missing, cannot be read"))?,
        )
    }

    fn parse(file: &str, text: &str) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        for (line, name) in (1..).zip(text.lines().map(str::trim)) {
            if name.is_empty() || name.starts_with('#') {
                continue;
            }
            ensure!(
                !names.iter().any(|known| known == name),
                "{file}, line {line}: \"{name}\" stands there twice"
            );
            names.push(name.to_owned());
        }
        Ok(Self { file: file.to_owned(), names })
    }

    /// The names of the list that are not in the table: nothing is wrong with that, but the list may be shorter.
    pub(crate) fn ran<'a>(&'a self, lines: &[NotRun]) -> Vec<&'a str> {
        let ran = |name: &&String| !lines.iter().any(|line| line.what == **name);
        self.names.iter().filter(ran).map(String::as_str).collect()
    }

    /// An error when the table has what the list has not.
    pub(crate) fn hold(&self, lines: &[NotRun]) -> Result<()> {
        let known = |line: &&NotRun| self.names.contains(&line.what);
        let unexpected =
            once_each(lines.iter().filter(|line| !known(line)).map(|line| format!("\"{}\"", line.what)));
        if unexpected.is_empty() {
            return Ok(());
        }
        bail!(
            "not run and not in {}: {}. Provide what they lack, or write these names there with a reason",
            self.file,
            unexpected.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<NotRun> {
        gathered(text)
    }

    #[test]
    fn lines_are_gathered_once_each_in_order() {
        let found = lines("b\tno b\na\tno a\nb\tno b\nb\tanother reason\nbare\n");
        let words: Vec<(&str, &str)> = found.iter().map(|l| (l.what.as_str(), l.why.as_str())).collect();
        assert_eq!(
            words,
            [("b", "no b"), ("a", "no a"), ("b", "another reason"), ("bare", "no reason was given")]
        );
        assert_eq!(lines(""), []);
    }

    #[test]
    fn the_table_has_a_column_each() {
        let text = table(&lines("valgrind's counts\tno valgrind\nü\twhy\n"));
        assert_eq!(text, "not run            why\nvalgrind's counts  no valgrind\nü                  why\n");
    }

    #[test]
    fn only_what_the_list_names_may_be_missing() {
        let list = Expected::parse("list", "# a reason\na\n\n  b c  \n# b\n").unwrap();
        assert_eq!(list.names, ["a", "b c"]);
        assert!(list.hold(&lines("")).is_ok());
        assert!(list.hold(&lines("a\tx\nb c\ty\nb c\tz\n")).is_ok());
        let error = list.hold(&lines("a\tx\nb\ty\nb\tz\nB c\tx\n")).unwrap_err().to_string();
        assert!(error.starts_with("not run and not in list: \"b\", \"B c\"."), "{error}");
        assert_eq!(list.ran(&lines("a\tx\nd\ty\n")), ["b c"]);
    }

    #[test]
    fn a_list_names_a_thing_once() {
        let error = Expected::parse("list", "a\nb\na\n").err().unwrap().to_string();
        assert_eq!(error, "list, line 3: \"a\" stands there twice");
    }

    #[test]
    fn the_list_of_the_repository_can_be_read() {
        assert!(!Expected::read(Path::new(".ci/expected-not-run")).unwrap().names.is_empty());
    }

    #[test]
    fn a_log_gives_back_what_steps_and_tests_add() {
        let log = Log::new(&format!("tmp/not-run-{}", std::process::id())).unwrap();
        log.add("step", "no\ttool\nhere").unwrap();
        let mut test = Command::new("sh");
        let script = format!(
            "printf 'test\\tno file\\n' >> \"${VARIABLE}\"; printf 'these\\t3\\nall\\t4\\n' >> \"${COMPARED}\""
        );
        assert!(log.hear(&mut test).args(["-c", &script]).status().unwrap().success());
        let (found, compared) = (log.read().unwrap(), log.compared().unwrap());
        fs::remove_file(&log.file).unwrap();
        fs::remove_file(&log.compared).unwrap();
        assert_eq!(found, lines("step\tno tool here\ntest\tno file\n"));
        assert_eq!(compared, "compared  how much\nthese     3\nall       4\n");
    }

    #[test]
    fn tests_hear_whether_long_comparisons_are_wanted() {
        for long in [false, true] {
            let name = format!("tmp/not-run-long-{long}-{}", std::process::id());
            let log = Log::new(&name).unwrap().with_long(long);
            let mut test = Command::new("sh");
            let status = log.hear(&mut test).args(["-c", &format!("test -n \"${LONG}\"")]).status().unwrap();
            fs::remove_file(&log.file).unwrap();
            fs::remove_file(&log.compared).unwrap();
            assert_eq!(status.success(), long);
        }
    }
}
