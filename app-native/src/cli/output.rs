//! Writing to a name: a regular file appears under it only once it is complete, anything else is written into.
//!
//! What a name leads to decides. Links are followed, so that a link stays and its target is written. A regular file, or
//! none yet, is written beside its place and renamed there. A device, a FIFO and an open descriptor (`/dev/fd/N`,
//! `/dev/stdout`) stay what they are and where they are, and are never removed.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
pub(super) use session::format::count;
use session::format::{printable, steers};
pub(super) use sim_core::report::grouped;

/// Where bytes go.
pub(super) enum Output {
    /// Standard output, in order with what else is printed there.
    Stdout(BufWriter<io::Stdout>),
    /// A device, a FIFO or a descriptor, which is written into.
    Into { out: BufWriter<File>, shown: String },
    /// A regular file that is made beside its place.
    File { out: BufWriter<File>, part: Part, shown: String },
}

const BUFFER_BYTES: usize = 1 << 20;

/// Standard output for what is worded or listed, not for what is passed on as it is: names from a trace cannot steer the terminal. What is
/// written in their place is right in JSON, too.
pub(super) struct Reported(io::StdoutLock<'static>);

/// Standard output for a report.
pub(super) fn reported() -> Reported {
    Reported(io::stdout().lock())
}

impl Write for Reported {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(|c| c != '\n' && steers(c)) => {
                for line in text.split_inclusive('\n') {
                    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
                    self.0.write_all(printable(line).as_bytes())?;
                    self.0.write_all(end.as_bytes())?;
                }
                Ok(())
            }
            _ => self.0.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What an output is called in messages.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard output".to_owned() } else { path.display().to_string() }
}

impl Output {
    /// Begins to write PATH, `-` for standard output.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let shown = shown(path);
        if path.as_os_str() == "-" {
            return Self::stdout(&shown);
        }
        let cannot = || format!("{shown} cannot be written; check the folder and its rights");
        let (target, descriptor) = follow(path).with_context(cannot)?;
        let meta = match fs::metadata(&target) {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(cannot),
        };
        if let Some(descriptor) = descriptor {
            ensure!(meta.is_some(), "{shown} is not open; redirect it, for example {descriptor}>out.txt");
            if descriptor.own && descriptor.number == 1 {
                return Self::stdout(&shown);
            }
        }
        let Some(meta) = meta else {
            ensure!(
                !names_folder(path) && target.file_name().is_some(),
                "{shown} names a folder; name a file in it"
            );
            return Self::beside(target, None, shown);
        };
        ensure!(!meta.is_dir(), "{shown} is a folder; name a file in it");
        ensure!(
            !is_socket(&meta) || descriptor.is_some(),
            "{shown} is a socket, which takes no file; name a file, a FIFO or a device"
        );
        if meta.is_file() && descriptor.is_none() {
            return Self::beside(target, Some(&meta), shown);
        }
        refuse_input(&meta, &shown)?;
        let file = match descriptor.and_then(Descriptor::duplicate) {
            Some(file) => file,
            // A descriptor of a regular file is opened anew from its beginning, over what was written there already; only
            // at its end is it right for both `3>FILE` and `3>>FILE`. A device has no end.
            None => File::options().write(true).append(meta.is_file()).open(&target),
        };
        let file = file.with_context(|| format!("{shown} cannot be written; check its rights"))?;
        Ok(Self::Into { out: BufWriter::with_capacity(BUFFER_BYTES, file), shown })
    }

    fn stdout(shown: &str) -> Result<Self> {
        if let Some(meta) = standard_stream(1).and_then(|file| file.ok()?.metadata().ok()) {
            refuse_input(&meta, shown)?;
        }
        Ok(Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())))
    }

    /// Begins a file that will take the place of `target`, which `existing` describes if it is there.
    fn beside(target: PathBuf, existing: Option<&Metadata>, shown: String) -> Result<Self> {
        let cannot = || format!("{shown} cannot be written; check the folder and its rights");
        if existing.is_some() {
            // A name can be taken from a file that may not be changed; who protected it did not mean that.
            File::options().write(true).open(&target).with_context(|| {
                format!("{shown} cannot be written; check its rights, or write to another file")
            })?;
        }
        let (file, part) = Part::create(target).with_context(cannot)?;
        if let Some(existing) = existing {
            keep_rights(&file, existing).with_context(cannot)?;
        }
        Ok(Self::File { out: BufWriter::with_capacity(BUFFER_BYTES, file), part, shown })
    }

    /// Writes what is buffered, and gives a file its name.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush().context("standard output"),
            Self::Into { mut out, shown } => {
                out.flush().with_context(|| format!("{shown} could not be written to the end"))
            }
            Self::File { mut out, part, shown } => {
                // The disk may be found full only when the bytes go there.
                let done = out.flush().and_then(|()| out.get_ref().sync_data());
                done.and_then(|()| part.become_whole())
                    .with_context(|| format!("{shown} could not be completed; is the disk full?"))
            }
        }
    }
}

/// Follows links up to what is no link, or to a descriptor, whose link names no place.
fn follow(path: &Path) -> io::Result<(PathBuf, Option<Descriptor>)> {
    /// As many as Linux follows.
    const LINKS_MAX: usize = 40;
    let mut at = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Some(descriptor) = Descriptor::named(&at) {
            return Ok((at, Some(descriptor)));
        }
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_symlink() => {
                let link = fs::read_link(&at)?;
                at = at.parent().unwrap_or(Path::new("")).join(link);
            }
            Ok(_) => return Ok((at, None)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((at, None)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Whether a path ends in a separator, as only a folder's may.
fn names_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_none_or(|last| std::path::is_separator(char::from(*last)))
}

/// An open file by its number.
#[derive(Clone, Copy)]
struct Descriptor {
    number: u32,
    /// Whether it is open in this process.
    own: bool,
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

impl Descriptor {
    /// What `/dev/fd/N` or `/proc/…/fd/N` names, by whatever way it is reached.
    fn named(path: &Path) -> Option<Self> {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        let folder = path.parent()?.canonicalize().ok()?;
        // Linux has links in /proc; other systems have devices in /dev/fd.
        let in_proc = folder.starts_with("/proc") && folder.ends_with("fd");
        let own = folder == Path::new("/dev/fd")
            || in_proc && Path::new("/proc/self").canonicalize().is_ok_and(|me| folder.starts_with(me));
        (in_proc || own).then_some(Self { number, own })
    }

    /// Another handle for the same opening, with its position, where one can be had.
    fn duplicate(self) -> Option<io::Result<File>> {
        self.own.then(|| standard_stream(self.number)).flatten()
    }
}

/// Another handle for one of the process's first three descriptors.
#[cfg(unix)]
fn standard_stream(number: u32) -> Option<io::Result<File>> {
    use std::os::fd::AsFd as _;
    let file = match number {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        1 => io::stdout().as_fd().try_clone_to_owned(),
        2 => io::stderr().as_fd().try_clone_to_owned(),
        _ => return None,
    };
    Some(file.map(File::from))
}

#[cfg(not(unix))]
fn standard_stream(_number: u32) -> Option<io::Result<File>> {
    None
}

#[cfg(unix)]
fn is_socket(meta: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type())
}

#[cfg(not(unix))]
fn is_socket(_meta: &Metadata) -> bool {
    false
}

/// Gives a new file the permissions of the one whose place it will take, and its owner where that is allowed.
#[cfg(unix)]
fn keep_rights(file: &File, existing: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    // Only root may give a file away, and a group can be given by its members only.
    let _ = fchown(file, None, Some(existing.gid()));
    let _ = fchown(file, Some(existing.uid()), None);
    file.set_permissions(fs::Permissions::from_mode(existing.mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_rights(_file: &File, _existing: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Files that are being read, by device and number.
#[cfg(unix)]
static INPUTS: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// Notes that a file is being read, so that nothing is written into it meanwhile. A file that is renamed to its place may
/// have the same name as the one that is read.
#[cfg(unix)]
pub(super) fn is_read(meta: &Metadata) {
    use std::os::unix::fs::MetadataExt as _;
    if meta.is_file() {
        INPUTS.lock().unwrap_or_else(PoisonError::into_inner).push((meta.dev(), meta.ino()));
    }
}

#[cfg(not(unix))]
pub(super) fn is_read(_meta: &Metadata) {}

/// The same for standard input.
pub(super) fn stdin_is_read() {
    if let Some(meta) = standard_stream(0).and_then(|file| file.ok()?.metadata().ok()) {
        is_read(&meta);
    }
}

/// Refuses to write into a file that is being read: it would never come to an end.
#[cfg(unix)]
fn refuse_input(meta: &Metadata, shown: &str) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let inputs = INPUTS.lock().unwrap_or_else(PoisonError::into_inner);
    if meta.is_file() && inputs.contains(&(meta.dev(), meta.ino())) {
        bail!("{shown} is the file that is being read; write to another one");
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_input(_meta: &Metadata, _shown: &str) -> Result<()> {
    Ok(())
}

/// Files being written, which Ctrl-C removes.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// A file being written: it goes away unless it becomes whole.
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
}

impl Part {
    /// A new file beside `target`, with a name that no other has.
    fn create(target: PathBuf) -> io::Result<(File, Self)> {
        /// Files of that kind that something left behind.
        const TRIES_MAX: u32 = 10_000;
        HANDLER.call_once(|| {
            // Without the handler Ctrl-C leaves a *.part behind, which is no reason not to write.
            let _ = ctrlc::set_handler(|| {
                // Held to the end, so that none is begun or completed any more.
                let parts = parts();
                for part in parts.iter() {
                    let _ = fs::remove_file(part);
                }
                stop();
            });
        });
        // Held so that Ctrl-C comes before there is a file or after it is known.
        let mut parts = parts();
        for number in 0..TRIES_MAX {
            let path = target.with_file_name(part_name(target.file_name().unwrap_or_default(), number));
            match File::create_new(&path) {
                Ok(file) => {
                    parts.push(path.clone());
                    return Ok((file, Self { path, target }));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("there are too many files named *.part beside it; remove them"))
    }

    fn become_whole(self) -> io::Result<()> {
        // The lock is held so that Ctrl-C comes before or after it.
        let mut parts = parts();
        fs::rename(&self.path, &self.target)?;
        parts.retain(|p| *p != self.path);
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = parts();
        if let Some(at) = parts.iter().position(|p| *p == self.path) {
            parts.remove(at);
            // The reason why it is given up is said elsewhere.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `OUT.part`, and where that is somebody's already `OUT.1.part` and so on.
fn part_name(name: &OsStr, number: u32) -> OsString {
    /// What file systems allow, less what is appended.
    const NAME_BYTES_MAX: usize = 255 - ".9999.part".len();
    let mut part = if name.len() <= NAME_BYTES_MAX { name.to_owned() } else { OsString::from("arenascope") };
    if number > 0 {
        part.push(format!(".{number}"));
    }
    part.push(".part");
    part
}

#[expect(
    clippy::disallowed_methods,
    reason = "what destructors would remove is removed, and main cannot be told"
)]
fn stop() -> ! {
    std::process::exit(130)
}

fn parts() -> MutexGuard<'static, Vec<PathBuf>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Into { out, .. } | Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Into { out, .. } | Self::File { out, .. } => out.flush(),
        }
    }
}

/// Prints a line, with an error where `println!` would panic.
pub(super) fn line(text: fmt::Arguments<'_>) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("standard output")
}

/// Prints an object as JSON on one line.
pub(super) fn json(value: &impl serde::Serialize) -> Result<()> {
    line(format_args!("{}", serde_json::to_string(value)?))
}
