//! `arenascope generate`: a random workload from a seed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use sim_core::{Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};
use trace_io::{Format, lesson, ptrace, writer};

use super::input;
use super::output::{self, Output};

#[derive(clap::Args)]
#[command(
    after_help = "The generator is ChaCha8: the same seed and options give the same trace everywhere.\n\n\
                        A workload of several phases is written in RON:\n  \
                        (seed: 7, phases: [\n    \
                        (operations: 1000, sizes: uniform(min: 1, max: 600), lifetimes: random, live_from: 0, live_to: 500),\n    \
                        (operations: 1000, sizes: python, lifetimes: die_young, live_from: 500, live_to: 50, realloc_percent: 5),\n  \
                        ])"
)]
pub(super) struct Args {
    /// Operations
    #[arg(long, default_value_t = 100_000, conflicts_with = "workload")]
    operations: u64,
    /// The seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Request sizes in bytes: python, fixed:N, uniform:MIN-MAX or halving:MIN-MAX
    #[arg(long, default_value = "python", value_parser = sizes, conflicts_with = "workload")]
    sizes: Sizes,
    /// Which blocks are freed
    #[arg(long, value_enum, default_value_t = LifetimesArg::DieYoung, conflicts_with = "workload")]
    lifetimes: LifetimesArg,
    /// Live blocks aimed at
    #[arg(long, default_value_t = 20_000, conflicts_with = "workload")]
    live: u64,
    /// How the number of live blocks changes
    #[arg(long, value_enum, default_value_t = Shape::Steady, conflicts_with = "workload")]
    shape: Shape,
    /// A workload in RON, with phases of its own; --seed overrides its seed
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// The file to write: *.atrace, *.ptrace or *.ron; `-` is standard output as ptrace
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    output: PathBuf,
}

/// Operations that are made before they are written.
const PIECE: u64 = 1 << 16;

#[derive(Clone, Copy, ValueEnum)]
enum LifetimesArg {
    Random,
    OldestFirst,
    NewestFirst,
    DieYoung,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// A ramp up over the first tenth, then steady
    Steady,
    /// Up to the number, and down to nothing
    Ramp,
    /// Four times up and down
    Sawtooth,
}

fn sizes(text: &str) -> Result<Sizes, String> {
    let help = || "write python, fixed:48, uniform:0-600 or halving:16-512".to_owned();
    let range = |range: &str| {
        let (min, max) = range.split_once('-')?;
        Some((min.parse().ok()?, max.parse().ok()?))
    };
    match text.split_once(':') {
        None if text == "python" => Ok(Sizes::Python),
        Some(("fixed", n)) => n.parse().map(Sizes::Fixed).map_err(|_| help()),
        Some(("uniform", r)) => range(r).map(|(min, max)| Sizes::Uniform { min, max }).ok_or_else(help),
        Some(("halving", r)) => range(r).map(|(min, max)| Sizes::Halving { min, max }).ok_or_else(help),
        _ => Err(help()),
    }
}

fn workload(args: &Args) -> Result<Workload> {
    if let Some(path) = &args.workload {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
        let mut workload: Workload = ron::from_str(&text).map_err(|e| {
            anyhow::anyhow!("{shown}: line {}, column {}: {}", e.span.start.line, e.span.start.col, e.code)
        })?;
        if args.seed != 1 {
            workload.seed = args.seed;
        }
        return Ok(workload);
    }
    let mut base = Workload::python(args.seed, args.operations, args.live).phases;
    for phase in &mut base {
        phase.sizes = args.sizes;
        phase.lifetimes = match args.lifetimes {
            LifetimesArg::Random => Lifetimes::Random,
            LifetimesArg::OldestFirst => Lifetimes::OldestFirst,
            LifetimesArg::NewestFirst => Lifetimes::NewestFirst,
            LifetimesArg::DieYoung => Lifetimes::DieYoung,
        };
    }
    let legs = match args.shape {
        Shape::Steady => return Ok(Workload { seed: args.seed, phases: base }),
        Shape::Ramp => 2,
        Shape::Sawtooth => 8,
    };
    let phases = (0..legs).map(|leg| {
        let (live_from, live_to) = if leg % 2 == 0 { (0, args.live) } else { (args.live, 0) };
        let operations = args.operations * (leg + 1) / legs - args.operations * leg / legs;
        Phase { operations, live_from, live_to, ..base[1] }
    });
    Ok(Workload { seed: args.seed, phases: phases.collect() })
}

pub(super) fn run(args: &Args) -> Result<()> {
    let workload = workload(args)?;
    workload.check().map_err(|e| anyhow::anyhow!("the workload is no use: {e}"))?;
    let to_stdout = args.output.as_os_str() == "-";
    let ending = args.output.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    if !to_stdout && !["atrace", "ptrace", "ron"].contains(&ending.as_str()) {
        bail!("{}: end the name in .atrace, .ptrace or .ron", args.output.display());
    }
    let mut out = Output::create(&args.output)?;
    write(&workload, &ending, &mut out).with_context(|| output::shown(&args.output))?;
    out.finish()
}

/// Writes all operations in the format of an ending.
fn write(workload: &Workload, ending: &str, mut out: &mut Output) -> Result<()> {
    let name = format!("workload of seed {}, {} operations", workload.seed, workload.operations());
    if ending == "ron" {
        ensure!(
            workload.operations() <= 10_000_000,
            "a lesson has at most 10,000,000 operations; write .ptrace instead"
        );
        let mut builder = TraceBuilder::new(&name);
        for op in workload {
            builder.push(op)?;
        }
        lesson::write(out, &builder.finish())?;
    } else if ending == "atrace" {
        let mut builder = TraceBuilder::new(&name);
        let Some(mut writer) = writer(Format::Atrace, &mut out) else { bail!("{name} cannot be written") };
        let bar = input::progress_bar(Some(workload.operations()), "generating");
        for op in workload {
            builder.push(op)?;
            if builder.trace().len() == PIECE {
                writer.write(builder.trace())?;
                builder.forget();
                bar.set_position(builder.len());
            }
        }
        writer.write(builder.trace())?;
        bar.finish_and_clear();
        writer.finish(builder.trace())?;
    } else {
        let mut header = Trace::default();
        header.head.name = name;
        ptrace::write_header(&mut out, &header)?;
        let bar = input::progress_bar(Some(workload.operations()), "generating");
        for (index, op) in workload.iter().enumerate() {
            ptrace::write_op(&mut out, &header, &op)?;
            if index % (1 << 16) == 0 {
                bar.set_position(index as u64);
            }
        }
        bar.finish_and_clear();
    }
    Ok(())
}
