//! `cargo xtask web`: the page as plain files.
//!
//! wasm-bindgen runs as a library: its version comes from Cargo.lock, like that of the crate that it must
//! match exactly, and nothing has to be installed. Every file but index.html carries a hash of its content
//! in its name, so a host may let browsers keep those for ever, and index.html not at all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::tools::{self, Need};
use crate::workspace::{cargo, command, output, root, run as run_command};

/// The module may have this many bytes. Above, browsers on phones take seconds to compile it. A tenth of it came with mimalloc,
/// eight file formats and the tape's index; what a visitor downloads is held to below.
const WASM_BUDGET_BYTES: usize = 5_600_000;
/// What a visitor downloads, compressed with brotli.
const TRANSFER_BUDGET_BYTES: usize = 1_600_000;

/// Options of `cargo xtask web`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the page goes; what is in there is replaced
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
}

/// A file of the page.
struct Asset {
    /// As index.html in the repository calls it.
    source: &'static str,
    /// Its name in the built page, up to the hash.
    stem: &'static str,
    extension: &'static str,
    bytes: Vec<u8>,
}

/// Builds the page.
pub(crate) fn run(options: &Options) -> Result<()> {
    tools::require(&[Need::WasmTarget])?;
    build(&root().join(&options.out))
}

/// Builds the page into a folder.
pub(crate) fn build(out: &Path) -> Result<()> {
    let (js, wasm) = compile()?;
    let read = |path: &str| fs::read(root().join(path)).with_context(|| format!("{path} cannot be read"));
    let assets = [
        Asset { source: "assets/icon.svg", stem: "icon", extension: "svg", bytes: read("assets/icon.svg")? },
        Asset {
            source: "app-web/page/page.css",
            stem: "page",
            extension: "css",
            bytes: read("app-web/page/page.css")?,
        },
        Asset {
            source: "app-web/page/boot.js",
            stem: "boot",
            extension: "js",
            bytes: read("app-web/page/boot.js")?,
        },
        Asset { source: "target/web/arenascope.js", stem: "arenascope", extension: "js", bytes: js },
        Asset { source: "target/web/arenascope.wasm", stem: "arenascope", extension: "wasm", bytes: wasm },
    ];

    let page = read("index.html")?;
    let mut page = String::from_utf8(page).context("index.html is not UTF-8")?;
    let mut files = Vec::new();
    for asset in assets {
        let name = format!("{}-{:016x}.{}", asset.stem, fnv64(&asset.bytes), asset.extension);
        page = replace_once(&page, &format!("\"{}\"", asset.source), &format!("\"{name}\""))?;
        if asset.extension == "wasm" {
            let bytes = format!("data-bytes=\"{}\"", asset.bytes.len());
            page = replace_once(&page, "data-bytes=\"0\"", &bytes)?;
        }
        files.push((name, asset.bytes));
    }
    files.push(("index.html".to_owned(), page.into_bytes()));

    empty(out)?;
    for (name, bytes) in &files {
        fs::write(out.join(name), bytes).with_context(|| format!("{name} cannot be written"))?;
    }
    report_sizes(out, &files)
}

/// The module and its JavaScript.
fn compile() -> Result<(Vec<u8>, Vec<u8>)> {
    // A folder of its own: a native build at the same time does not wait for this one.
    let target = root().join("target/web");
    let mut build = cargo();
    build
        .args(["build", "--locked", "--package", "app-web", "--lib", "--profile", "web"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", without_paths());
    run_command(&mut build)?;
    let module = target.join("wasm32-unknown-unknown/web/app_web.wasm");
    let bindings = target.join("bindings");
    if bindings.exists() {
        fs::remove_dir_all(&bindings).with_context(|| format!("{} cannot be cleared", bindings.display()))?;
    }
    Bindgen::new()
        .input_path(&module)
        .out_name("arenascope")
        .web(true)?
        .typescript(false)
        // The page says where the module is: its name has a hash.
        .omit_default_module_path(true)
        // A tenth of the module is names of functions, which only a debugger shows.
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&bindings)
        .with_context(|| format!("wasm-bindgen failed on {}", module.display()))?;
    ensure!(
        !bindings.join("snippets").exists(),
        "a dependency ships JavaScript of its own (wasm-bindgen snippets), which the page does not carry: \
         see {}",
        bindings.display()
    );
    Ok((fs::read(bindings.join("arenascope.js"))?, fs::read(bindings.join("arenascope_bg.wasm"))?))
}

/// Flags that keep this machine's folders out of the module, where panic messages would show them: the same
/// sources give the same bytes, and so the same file names, wherever they are built.
fn without_paths() -> OsString {
    let mut flags = OsString::new();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    for (from, to) in [(home, "cargo"), (Some(root()), "arenascope")] {
        let Some(from) = from else { continue };
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push(format!("={to}"));
    }
    flags
}

fn replace_once(text: &str, from: &str, to: &str) -> Result<String> {
    let count = text.matches(from).count();
    ensure!(count == 1, "index.html must have {from} exactly once, and has it {count} times");
    Ok(text.replace(from, to))
}

/// An empty folder, made or cleared. Only a folder that holds nothing but a built page is cleared.
fn empty(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    for entry in &entries {
        let name = entry.file_name();
        let known = Path::new(&name)
            .extension()
            .is_some_and(|extension| ["css", "html", "js", "svg", "wasm"].iter().any(|e| extension == *e));
        if !known || entry.file_type()?.is_dir() {
            bail!(
                "{} holds {}, which no build put there: give --out an empty folder",
                dir.display(),
                name.display()
            );
        }
    }
    for entry in entries {
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

fn report_sizes(out: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let compressed = compressed_sizes(out, files)?;
    println!("\n{:<36} {:>10} {:>10} {:>10}", "file", "bytes", "gzip", "brotli");
    let mut total = [0; 3];
    for (index, (name, bytes)) in files.iter().enumerate() {
        let [gzip, brotli] = compressed.as_ref().map_or([None; 2], |sizes| sizes[index].map(Some));
        println!("{name:<36} {:>10} {} {}", bytes.len(), cell(gzip), cell(brotli));
        total[0] += bytes.len();
        total[1] += gzip.unwrap_or(0);
        total[2] += brotli.unwrap_or(0);
    }
    let [gzip, brotli] = [total[1], total[2]].map(|size| compressed.as_ref().map(|_| size));
    println!("{:<36} {:>10} {} {}", "all", total[0], cell(gzip), cell(brotli));

    let is_module = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "wasm");
    let wasm = files.iter().find(|(name, _)| is_module(name)).map_or(0, |(_, bytes)| bytes.len());
    println!("\nmodule {wasm} of at most {WASM_BUDGET_BYTES} bytes");
    ensure!(
        wasm <= WASM_BUDGET_BYTES,
        "the module is {} bytes over its budget. Look for a new heavy dependency (`cargo tree -p app-web \
         --target wasm32-unknown-unknown`), or raise WASM_BUDGET_BYTES with a reason",
        wasm - WASM_BUDGET_BYTES
    );
    match brotli {
        Some(size) => {
            println!("download {size} of at most {TRANSFER_BUDGET_BYTES} bytes, compressed with brotli");
            ensure!(size <= TRANSFER_BUDGET_BYTES, "the compressed page is over its budget");
        }
        None => println!("compressed sizes need node, which is not installed"),
    }
    println!("built {}", out.display());
    Ok(())
}

fn cell(size: Option<usize>) -> String {
    size.map_or_else(|| format!("{:>10}", "-"), |size| format!("{size:>10}"))
}

/// Sizes after gzip -9 and brotli -11, measured by node, whose compressors no crate of ours has; none
/// without node.
fn compressed_sizes(out: &Path, files: &[(String, Vec<u8>)]) -> Result<Option<Vec<[usize; 2]>>> {
    const SCRIPT: &str = "\
        const { readFileSync } = require('fs'), zlib = require('zlib');\
        for (const file of process.argv.slice(1)) {\
          const bytes = readFileSync(file);\
          const params = { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };\
          console.log(zlib.gzipSync(bytes, { level: 9 }).length, zlib.brotliCompressSync(bytes, { params }).length);\
        }";
    if !Need::Node.is_there() {
        return Ok(None);
    }
    let paths = files.iter().map(|(name, _)| out.join(name));
    let text = output(command("node").args(["-e", SCRIPT, "--"]).args(paths))?;
    let sizes = text.lines().filter_map(|line| {
        let (gzip, brotli) = line.split_once(' ')?;
        Some([gzip.parse().ok()?, brotli.parse().ok()?])
    });
    let sizes: Vec<_> = sizes.collect();
    ensure!(sizes.len() == files.len(), "node compresses {} files and says: {}", files.len(), text.trim());
    Ok(Some(sizes))
}

/// FNV-1a: names need a hash that is the same everywhere, not one that withstands attack.
fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_missing_from_the_page_is_an_error() {
        assert!(replace_once("<a href=\"x\">", "\"y\"", "\"z\"").is_err());
        assert!(replace_once("\"x\" \"x\"", "\"x\"", "\"z\"").is_err());
        assert_eq!(replace_once("<a href=\"x\">", "\"x\"", "\"z\"").unwrap(), "<a href=\"z\">");
    }

    #[test]
    fn hash_is_the_published_one() {
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
