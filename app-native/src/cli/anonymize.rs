//! `arenascope anonymize`: a trace without names.

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use trace_io::care::Anonymize;

use super::input::Pieces;
use super::output::{self, count};
use super::sink::Sink;

#[derive(clap::Args)]
#[command(
    after_help = "Names of files, functions, threads and the program become keyed hashes (HMAC-SHA-256, 48 bits): the same name \
                  is the same hash everywhere, and the ending .py stays. Description, command line, process id and every \
                  other fact that could name something are dropped. Sizes, order, stacks' shape, line numbers, times and \
                  addresses stay as they are.\n\n\
                  Without --key the key is random and forgotten: nobody can look names up, and two runs give different hashes. \
                  With the same --key the hashes of several files agree; whoever knows the key can test a guessed name.\n\n\
                  Example:\n  arenascope anonymize capture.csv share.csv --key \"$(cat secret)\""
)]
pub(super) struct Args {
    /// The trace to read; `-` is standard input
    input: PathBuf,
    /// The file to write: *.ptrace, *.ron or *.csv
    output: PathBuf,
    /// What the hashes hang on [default: a random key, not kept]
    #[arg(long)]
    key: Option<String>,
}

/// 256 bits from the system's randomness, by way of the standard library's hash maps.
fn random_key() -> Vec<u8> {
    (0..4_u8).flat_map(|part| RandomState::new().hash_one(part).to_le_bytes()).collect()
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut pieces = Pieces::open(&args.input, None)?.in_small_pieces();
    let mut sink = Sink::create(&args.output)?;
    let key = args.key.as_ref().map_or_else(random_key, |key| key.as_bytes().to_vec());
    let mut anonymize = Anonymize::new(&key);
    let shown = || args.input.display().to_string();
    while let Some(piece) = pieces.next_piece()? {
        anonymize.take(piece).with_context(shown)?;
        sink.drain(anonymize.out())?;
    }
    let Some(whole) = pieces.trace() else { bail!("{} has no operation", shown()) };
    anonymize.finish(whole).with_context(shown)?;
    let operations = anonymize.out().len();
    sink.finish(anonymize.out().trace())?;
    output::line(format_args!(
        "{}: {}, {} replaced",
        args.output.display(),
        count(operations, "operation"),
        count(anonymize.names(), "name")
    ))?;
    Ok(())
}
