//! Sums by place, as `memray run --aggregate` keeps them.

use serde::{Deserialize, Serialize};
use sim_core::occupancy::grouped;

/// Places that are listed as text.
const LISTED: usize = 40;

/// What one place asked of one allocator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Site {
    /// The function; empty where no Python code ran.
    pub function: String,
    /// Its file.
    pub file: String,
    /// The line; 0 where it is not known.
    pub line: u32,
    /// The function of the allocator, in memray's words.
    pub allocator: String,
    /// Blocks that were live when most bytes were.
    pub peak_blocks: u64,
    /// Their bytes.
    pub peak_bytes: u64,
    /// Blocks that were live at the end.
    pub leaked_blocks: u64,
    /// Their bytes.
    pub leaked_bytes: u64,
}

/// Sums by place.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sites {
    /// memray's format.
    pub file_format: u32,
    /// What ran.
    pub command_line: String,
    /// Python's version, where the file says it.
    pub python: Option<String>,
    /// What managed small blocks, in memray's words.
    pub allocator: String,
    /// Whether calls of Python's own allocators are in it.
    pub python_allocators: bool,
    /// Bytes live when most were.
    pub peak_bytes: u64,
    /// Their blocks.
    pub peak_blocks: u64,
    /// Bytes live at the end.
    pub leaked_bytes: u64,
    /// Their blocks.
    pub leaked_blocks: u64,
    /// The largest resident set that was seen, in bytes.
    pub resident_bytes_max: u64,
    /// Places, what held most at the peak first.
    pub sites: Vec<Site>,
    /// Where and why the file ends early, in one sentence.
    pub truncated: Option<String>,
}

impl Sites {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} bytes in {} blocks were live at the peak, {} bytes in {} blocks at the end",
                grouped(self.peak_bytes),
                grouped(self.peak_blocks),
                grouped(self.leaked_bytes),
                grouped(self.leaked_blocks)
            ),
            format!("  recorder    memray --aggregate, format {}", self.file_format),
            format!("  command     {}", self.command_line),
        ];
        lines.extend(self.python.as_ref().map(|python| format!("  python      {python}")));
        lines.push(format!("  allocator   {}", self.allocator));
        if self.resident_bytes_max > 0 {
            lines.push(format!("  resident    {} bytes at most", grouped(self.resident_bytes_max)));
        }
        lines.push(format!(
            "  {:>15} {:>11} {:>15} {:>11}  {:<17} place",
            "bytes at peak", "blocks", "bytes at end", "blocks", "allocator"
        ));
        for site in self.sites.iter().take(LISTED) {
            let place = match (site.function.as_str(), site.line) {
                ("", _) => "no Python code".to_owned(),
                (function, 0) => format!("{function} {}", site.file),
                (function, line) => format!("{function} {}:{line}", site.file),
            };
            lines.push(format!(
                "  {:>15} {:>11} {:>15} {:>11}  {:<17} {place}",
                grouped(site.peak_bytes),
                grouped(site.peak_blocks),
                grouped(site.leaked_bytes),
                grouped(site.leaked_blocks),
                site.allocator
            ));
        }
        if let Some(more) = self.sites.len().checked_sub(LISTED).filter(|more| *more > 0) {
            lines.push(format!("  and {} more, which `--json` has", grouped(more as u64)));
        }
        lines.push(
            "  it cannot tell the order of calls, sizes of single blocks, addresses, pools or arenas: there is nothing to \
             replay. Record without --aggregate for that"
                .to_owned(),
        );
        if !self.python_allocators {
            lines.push(
                "  small blocks are not in it, but pymalloc's arenas as mmap; record with --trace-python-allocators"
                    .to_owned(),
            );
        }
        lines.extend(self.truncated.as_ref().map(|why| format!("  doubt       {why}")));
        lines
    }
}
