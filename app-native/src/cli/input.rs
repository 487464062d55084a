//! Opening a trace from a file, with progress, and the profile it is to run with.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use sim_core::{Profile, Trace};
use trace_io::{Format, Loader};

/// A trace with what only its file knows.
pub(super) struct Input {
    pub(super) trace: Trace,
    pub(super) format: Format,
    pub(super) compressed: bool,
    pub(super) file_bytes: Option<u64>,
}

/// Opens FILE, `-` for standard input.
pub(super) fn open(path: &Path) -> Result<Input> {
    let shown = path.display();
    let (source, file_bytes): (Box<dyn Read>, Option<u64>) = if path.as_os_str() == "-" {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(path).with_context(|| format!("{shown} cannot be opened; check the path"))?;
        let meta = file.metadata().with_context(|| format!("{shown} cannot be read"))?;
        anyhow::ensure!(!meta.is_dir(), "{shown} is a folder; name a trace file in it");
        (Box::new(file), Some(meta.len()))
    };
    let name = path.file_name().map_or_else(|| "trace".to_owned(), |n| n.to_string_lossy().into_owned());
    let mut loader = Loader::new(&name, source, file_bytes);
    let bar = progress_bar(file_bytes, "reading");
    while !loader.advance().with_context(|| shown.to_string())? {
        bar.set_position(loader.progress().bytes);
    }
    bar.finish_and_clear();
    let compressed = loader.compressed();
    let (trace, format) = loader.finish().with_context(|| shown.to_string())?;
    Ok(Input { trace, format, compressed, file_bytes })
}

/// A bar on the terminal, hidden where there is none and for the first half second.
pub(super) fn progress_bar(total: Option<u64>, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let form = match total {
        Some(_) => "{msg} {wide_bar} {percent}% {human_pos}/{human_len} {per_sec} {eta}",
        None => "{msg} {spinner} {human_pos} {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// `--profile` and `--set`, shared by all subcommands that run a trace.
#[derive(clap::Args)]
pub(super) struct ProfileArgs {
    /// A profile of `arenascope profiles`; default: what the trace asks for, else cpython-3.14
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Change one field of the profile, e.g. arena_size=2M or arena_placement=page; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
}

impl ProfileArgs {
    /// The profile for a trace: named on the command line, else by the trace, else the default; then the
    /// trace's own settings, then `--set`.
    pub(super) fn for_trace(&self, trace: &Trace) -> Result<Profile> {
        let mut profile = match self.profile.as_deref().or(trace.profile.as_deref()) {
            Some(name) => Profile::named(name)?,
            None => Profile::default(),
        };
        for (key, value) in trace.settings.iter().chain(&self.sets) {
            profile.set(key, value)?;
        }
        profile.validate()?;
        Ok(profile)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .ok_or_else(|| "write KEY=VALUE, for example arena_placement=page".to_owned())
}
