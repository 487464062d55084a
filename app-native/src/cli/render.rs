//! `arenascope render`: the memory map at a step as a picture, without a display.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use resvg::{tiny_skia, usvg};
use session::format::bytes;
use session::{At, Setup, palette};
use sim_core::report::{Occupancy, PoolState};
use sim_core::{Addr, Machine, SizeClass};

use super::input::{self, ProfileArgs};
use super::output::{Output, count, grouped};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Draw the state after this many operations, or at start, end, peak, mark:NAME or mark:NAME#2
    #[arg(long, value_name = "STEP|MARK", default_value = "end")]
    at: At,
    /// The picture to write: *.svg or *.png
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let ending = args.output.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    if ending != "svg" && ending != "png" {
        bail!("{}: `.{ending}` is no picture format; end the name in .svg or .png", args.output.display());
    }
    let trace = input::open(&args.file, None)?;
    let setup = Setup::resolve(&trace, &args.profile.overrides())?;
    let step = args
        .at
        .resolve(&trace, || input::peak(&setup, &trace))
        .map_err(|error| anyhow::anyhow!("--at {error}"))?;
    let mut machine = setup.machine(&trace)?;
    if machine.mimalloc().is_some() {
        bail!(
            "{}: this run is mimalloc's ({}), and render draws pymalloc's arenas; `arenascope replay` prints its segments and pages",
            trace.head.name,
            setup.profile.name
        );
    }
    for index in 0..step as usize {
        machine.step(&trace, index, &mut ());
    }
    let touched = step.checked_sub(1).and_then(|last| {
        let slot = trace.packed(last as usize).slot;
        match machine.target(slot) {
            sim_core::arena::Target::Block(block) => {
                let memory = machine.pymalloc().memory();
                Some(sim_core::arena::ArenaBackend::block_addr(memory, block))
            }
            _ => None,
        }
    });
    let title = format!("{}: after operation {} of {}", trace.head.name, grouped(step), grouped(trace.len()));
    let svg = map_svg(&machine, &title, touched);
    let bytes = if ending == "svg" { svg.into_bytes() } else { png(&svg)? };
    let mut out = Output::create(&args.output)?;
    out.write_all(&bytes).with_context(|| args.output.display().to_string())?;
    out.finish()
}

const CELL: u64 = 26;
const GAP: u64 = 3;
const MARGIN: u64 = 24;
const HEAD: u64 = 76;
const FOOT: u64 = 64;
/// A picture wider than this is hard to look at, a longer one is not.
const WIDTH_MAX: u64 = 1960;

/// The map: a tile for each live arena, a cell for each pool.
fn map_svg(machine: &Machine, title: &str, touched: Option<Addr>) -> String {
    let pymalloc = machine.pymalloc();
    let profile = pymalloc.profile();
    let pools = u64::from(profile.max_pools_in_arena());
    let columns = pools.isqrt() + u64::from(pools.isqrt().pow(2) != pools);
    let rows = pools.div_ceil(columns);
    let (tile_w, tile_h) = (columns * (CELL + GAP) + 20, rows * (CELL + GAP) + 38);
    let live: Vec<u32> = pymalloc.live_arenas().collect();
    let across = ((WIDTH_MAX - 2 * MARGIN) / tile_w).clamp(1, (live.len() as u64).clamp(3, 64));
    let width = (across * tile_w + 2 * MARGIN).max(760);
    let height = HEAD + (live.len() as u64).div_ceil(across).max(1) * tile_h + FOOT;
    let occupancy = Occupancy::of(pymalloc);

    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"Ubuntu, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fbfbfa\"/>\n\
         <text x=\"{MARGIN}\" y=\"34\" font-size=\"20\" fill=\"#1b1b1b\">{}</text>\n\
         <text x=\"{MARGIN}\" y=\"58\" font-size=\"14\" fill=\"#555\">{}: {} of {}, {} in use ({}), {}</text>\n",
        escaped(title),
        escaped(&profile.name),
        count(occupancy.arenas, "live arena"),
        bytes(profile.arena_size),
        count(occupancy.blocks(), "block"),
        count(occupancy.allocated_bytes, "byte"),
        count(occupancy.unused_pools, "unused pool")
    );
    if live.is_empty() {
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"16\" fill=\"#555\">No arena is live at this step</text>",
            HEAD + 40
        );
    }
    for (at, &index) in (0_u64..).zip(&live) {
        let (x, y) = (MARGIN + at % across * tile_w, HEAD + at / across * tile_h);
        arena_svg(&mut svg, machine, index, (x, y), columns, touched);
    }
    legend_svg(&mut svg, height - FOOT + 22, profile.nb_small_size_classes());
    svg.push_str("</svg>\n");
    svg
}

fn arena_svg(
    svg: &mut String,
    machine: &Machine,
    index: u32,
    (x, y): (u64, u64),
    columns: u64,
    touched: Option<Addr>,
) {
    let pymalloc = machine.pymalloc();
    let profile = pymalloc.profile();
    let arena = &pymalloc.arenas()[index as usize];
    let base = arena.address.unwrap_or_default();
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" font-size=\"11\" fill=\"#333\">arena {} at {base}: {} of {} pools in use</text>",
        y + 14,
        arena.ordinal,
        arena.ntotalpools - arena.nfreepools,
        arena.ntotalpools
    );
    let cell = |n: u64| (x + n % columns * (CELL + GAP), y + 20 + n / columns * (CELL + GAP));
    for n in 0..u64::from(arena.ntotalpools) {
        let (cx, cy) = cell(n);
        let addr = pymalloc.first_pool_addr(base).offset(n * profile.pool_size);
        if addr >= arena.pool_address {
            let _ = writeln!(
                svg,
                "<rect x=\"{cx}\" y=\"{cy}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"none\" stroke=\"#c9c9c5\" stroke-dasharray=\"2 3\"/>"
            );
            continue;
        }
        let pool = sim_core::arena::ArenaBackend::pool_at(pymalloc.memory(), addr);
        let header = sim_core::arena::ArenaBackend::header(pymalloc.memory(), pool);
        let class = SizeClass(header.szidx as u16);
        let state = PoolState::of(pymalloc, pool);
        let (fill, ink) = class_colour(class, profile.nb_small_size_classes());
        let filled = (CELL * u64::from(header.ref_count) / profile.num_blocks(class).max(1)).min(CELL);
        let filled =
            if state == PoolState::Full { CELL } else { filled.max(u64::from(header.ref_count > 0)) };
        let _ = writeln!(
            svg,
            "<rect x=\"{cx}\" y=\"{cy}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"#ffffff\" stroke=\"#8a8a86\"/>\
             <rect x=\"{cx}\" y=\"{}\" width=\"{CELL}\" height=\"{filled}\" fill=\"{fill}\"/>",
            cy + CELL - filled
        );
        if state != PoolState::Empty {
            // On a border between fill and white the number needs an edge of its own.
            let (ink, halo) = match filled {
                0..8 => ("#1b1b1b", ""),
                20.. => (ink, ""),
                _ => ("#1b1b1b", " stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\""),
            };
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"11\" text-anchor=\"middle\" fill=\"{ink}\"{halo}>{class}</text>",
                cx + CELL / 2,
                cy + CELL / 2 + 4
            );
        }
        if touched.is_some_and(|t| t.bytes_from(addr) < profile.pool_size) {
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#d9480f\" stroke-width=\"2.5\"/>",
                cx - 2,
                cy - 2,
                CELL + 4,
                CELL + 4
            );
        }
    }
}

fn legend_svg(svg: &mut String, y: u64, classes: u16) {
    let mut x = MARGIN;
    let mut item = |rect: String, text: &str, advance: u64| {
        let _ = writeln!(
            svg,
            "{}<text x=\"{}\" y=\"{}\" font-size=\"13\" fill=\"#333\">{text}</text>",
            rect.replace("POS", &format!("x=\"{x}\" y=\"{y}\" width=\"18\" height=\"18\"")),
            x + 24,
            y + 14
        );
        x += advance;
    };
    let (fill, _) = class_colour(SizeClass(classes / 2), classes);
    item(format!("<rect POS fill=\"{fill}\"/>"), "used share of a pool, with its size class", 290);
    item("<rect POS fill=\"#ffffff\" stroke=\"#8a8a86\"/>".to_owned(), "emptied pool", 130);
    item(
        "<rect POS fill=\"none\" stroke=\"#c9c9c5\" stroke-dasharray=\"2 3\"/>".to_owned(),
        "never carved",
        130,
    );
    item(
        "<rect POS fill=\"none\" stroke=\"#d9480f\" stroke-width=\"2.5\"/>".to_owned(),
        "touched by the last operation",
        220,
    );
}

/// The window's color of a size class on a light ground, and the ink that reads on it.
pub(super) fn class_colour(class: SizeClass, classes: u16) -> (String, &'static str) {
    let color = palette::class(false, class, classes);
    let [r, g, b] = color;
    (format!("#{r:02x}{g:02x}{b:02x}"), if palette::takes_dark_ink(color) { "#0a0c0f" } else { "#ffffff" })
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The picture as pixels, with the same letters on every machine.
fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    fonts.set_sans_serif_family("Ubuntu");
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "Ubuntu".to_owned(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).context("the picture could not be laid out")?;
    let size = tree.size().to_int_size();
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .context("the heap is too large for one PNG; write .svg instead")?;
    resvg::render(&tree, tiny_skia::Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().context("the picture could not be encoded")
}
