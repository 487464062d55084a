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

/// The window's module may have this many bytes. Above, browsers on phones take seconds to compile it.
const WASM_BUDGET_BYTES: usize = 4_850_000;
/// What a visitor downloads before the first picture, compressed with brotli.
const FIRST_BUDGET_BYTES: usize = 1_600_000;
/// All that a visitor downloads, the engine included.
const TRANSFER_BUDGET_BYTES: usize = 2_100_000;

/// A crate of the page that becomes a module with its JavaScript.
struct Module {
    package: &'static str,
    /// Its file, as cargo calls it.
    file: &'static str,
    /// Its name in the page.
    name: &'static str,
    profile: &'static str,
}

const WINDOW: Module =
    Module { package: "app-web", file: "app_web.wasm", name: "arenascope", profile: "web" };
const ENGINE: Module =
    Module { package: "app-web-engine", file: "app_web_engine.wasm", name: "engine", profile: "engine" };

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
    let (js, wasm) = compile(&WINDOW)?;
    let (engine_js, engine_wasm) = compile(&ENGINE)?;
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
        Asset {
            source: "app-web/page/early.js",
            stem: "early",
            extension: "js",
            bytes: read("app-web/page/early.js")?,
        },
        Asset {
            source: "app-web/page/worker.js",
            stem: "worker",
            extension: "js",
            bytes: read("app-web/page/worker.js")?,
        },
        Asset { source: "target/web/engine.js", stem: "engine", extension: "js", bytes: engine_js },
        Asset { source: "target/web/engine.wasm", stem: "engine", extension: "wasm", bytes: engine_wasm },
        Asset { source: "target/web/arenascope.js", stem: "arenascope", extension: "js", bytes: js },
        Asset { source: "target/web/arenascope.wasm", stem: "arenascope", extension: "wasm", bytes: wasm },
    ];

    let page = read("index.html")?;
    let mut page = String::from_utf8(page).context("index.html is not UTF-8")?;
    let mut files = Vec::new();
    for mut asset in assets {
        if matches!(asset.extension, "js" | "css") {
            let text =
                String::from_utf8(asset.bytes).with_context(|| format!("{} is not UTF-8", asset.source))?;
            asset.bytes = without_comments(&text).into_bytes();
        }
        let name = format!("{}-{:016x}.{}", asset.stem, fnv64(&asset.bytes), asset.extension);
        page = replace_once(&page, &format!("\"{}\"", asset.source), &format!("\"{name}\""))?;
        if asset.source == "target/web/arenascope.wasm" {
            let bytes = format!("data-bytes=\"{}\"", asset.bytes.len());
            page = replace_once(&page, "data-bytes=\"0\"", &bytes)?;
        }
        files.push((name, asset.bytes));
    }
    files.push(("index.html".to_owned(), page.into_bytes()));
    files.extend(traces()?);

    empty(out)?;
    for (name, bytes) in &files {
        fs::write(out.join(name), bytes).with_context(|| format!("{name} cannot be written"))?;
    }
    report_sizes(out, &files)
}

/// Folders of traces that the window fetches when they are asked for.
const TRACES: [&str; 5] = ["course", "pitfalls", "puzzles", "python", "scenarios"];
/// Endings of what it fetches: texts, and recordings, which lie in no folder.
const FETCHED: [&str; 2] = ["ron", "zst"];

/// Those traces, with their folder in their name.
fn traces() -> Result<Vec<(String, Vec<u8>)>> {
    let all = root().join("traces");
    let mut files = Vec::new();
    for folder in TRACES {
        for path in within(&all.join(folder))? {
            let name = path.file_name().unwrap_or_default();
            files.push((format!("{folder}-{}", name.display()), fs::read(&path)?));
        }
    }
    for path in within(&all)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "zst")) {
        let name = path.file_name().unwrap_or_default();
        files.push((name.display().to_string(), fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// What lies in a folder.
fn within(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Whether a file of the page comes when somebody asks for it, and not before.
fn is_fetched(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| FETCHED.iter().any(|e| extension == *e))
}

/// A module and its JavaScript.
fn compile(wanted: &Module) -> Result<(Vec<u8>, Vec<u8>)> {
    let Module { package, file, name, profile } = wanted;
    // A folder of its own: a native build at the same time does not wait for this one.
    let target = root().join("target/web");
    let mut build = cargo();
    build
        .args(["build", "--locked", "--package", package, "--lib", "--profile", profile])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", without_paths());
    run_command(&mut build)?;
    let module = target.join("wasm32-unknown-unknown").join(profile).join(file);
    let bindings = target.join("bindings").join(name);
    if bindings.exists() {
        fs::remove_dir_all(&bindings).with_context(|| format!("{} cannot be cleared", bindings.display()))?;
    }
    Bindgen::new()
        .input_path(&module)
        .out_name(name)
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
    let read = |ending: &str| fs::read(bindings.join(format!("{name}{ending}")));
    Ok((read(".js")?, read("_bg.wasm")?))
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

/// A script or a style sheet without the lines that are comments: nobody who visits the page reads them.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut within = false;
    for line in text.lines() {
        let bare = line.trim();
        let begins = !within && bare.starts_with("/*");
        if within || begins {
            within = !bare.ends_with("*/");
        } else if !bare.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
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
        let known = Path::new(&name).extension().is_some_and(|extension| {
            ["css", "html", "js", "svg", "wasm"].iter().chain(&FETCHED).any(|e| extension == *e)
        });
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
    // What the first picture waits for, and all.
    let mut sums = [[0; 3]; 2];
    let mut window = 0;
    let mut fetched = [0; 2];
    for (index, (name, bytes)) in files.iter().enumerate() {
        if is_fetched(name) {
            // One at a time, and only for who asks.
            let brotli = compressed.as_ref().map_or(0, |sizes| sizes[index][1]);
            fetched = [fetched[0] + 1, fetched[1].max(brotli)];
            continue;
        }
        let [gzip, brotli] = compressed.as_ref().map_or([None; 2], |sizes| sizes[index].map(Some));
        println!("{name:<36} {:>10} {} {}", bytes.len(), cell(gzip), cell(brotli));
        let sizes = [bytes.len(), gzip.unwrap_or(0), brotli.unwrap_or(0)];
        let is_module = Path::new(name).extension().is_some_and(|extension| extension == "wasm");
        let later = name.starts_with("engine-") || name.starts_with("worker-");
        if is_module && !later {
            window = bytes.len();
        }
        for sum in &mut sums[usize::from(later)..] {
            for (sum, size) in sum.iter_mut().zip(sizes) {
                *sum += size;
            }
        }
    }
    for (name, [bytes, gzip, brotli]) in ["first picture", "all"].into_iter().zip(sums) {
        let [gzip, brotli] = [gzip, brotli].map(|size| compressed.as_ref().map(|_| size));
        println!("{name:<36} {bytes:>10} {} {}", cell(gzip), cell(brotli));
    }

    println!(
        "{} traces are fetched one by one, each of at most {} bytes, compressed with brotli",
        fetched[0], fetched[1]
    );
    println!("\nthe window's module {window} of at most {WASM_BUDGET_BYTES} bytes");
    ensure!(
        window <= WASM_BUDGET_BYTES,
        "the window's module is {} bytes over its budget. Look for a new heavy dependency (`cargo tree -p app-web \
         --target wasm32-unknown-unknown`), or for the engine in it, or raise WASM_BUDGET_BYTES with a reason",
        window - WASM_BUDGET_BYTES
    );
    if compressed.is_some() {
        for (what, sum, budget) in [
            ("before the first picture", sums[0], FIRST_BUDGET_BYTES),
            ("in all", sums[1], TRANSFER_BUDGET_BYTES),
        ] {
            println!("download {what} {} of at most {budget} bytes, compressed with brotli", sum[2]);
            ensure!(sum[2] <= budget, "the compressed page is over its budget {what}");
        }
    } else {
        println!("compressed sizes need node, which is not installed");
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
    fn every_trace_that_ships_comes_with_the_page() {
        let files = traces().unwrap();
        let named = |name: &str| files.iter().any(|(file, bytes)| file == name && !bytes.is_empty());
        for entry in within(&root().join("traces")).unwrap() {
            let name = entry.file_name().unwrap().display().to_string();
            if entry.is_dir() {
                for file in within(&entry).unwrap() {
                    let file = format!("{name}-{}", file.file_name().unwrap().display());
                    assert!(named(&file), "{file}");
                }
            } else if !["README.md", "opening.ron"].contains(&name.as_str()) {
                assert!(named(&name), "{name}");
            }
        }
        assert!(files.iter().all(|(name, _)| is_fetched(name)));
    }

    #[test]
    fn a_path_missing_from_the_page_is_an_error() {
        assert!(replace_once("<a href=\"x\">", "\"y\"", "\"z\"").is_err());
        assert!(replace_once("\"x\" \"x\"", "\"x\"", "\"z\"").is_err());
        assert_eq!(replace_once("<a href=\"x\">", "\"x\"", "\"z\"").unwrap(), "<a href=\"z\">");
    }

    #[test]
    fn comments_that_are_lines_stay_behind() {
        let script = "// one\nlet a = 1; // two\n  /**\n   * three\n   */\n  b(\"//\");\n/* four */\nc();\n";
        assert_eq!(without_comments(script), "let a = 1; // two\n  b(\"//\");\nc();\n");
    }

    #[test]
    fn hash_is_the_published_one() {
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
